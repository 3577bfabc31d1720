"""What Prometheus sees of predictions. Unknown names never become labels, so that nobody can make up time series.

Counting with Prometheus's own objects takes longer than a small model's answer, so requests are tallied first; the tallies
are handed on once a second, and before a scrape. Everything here happens in the event loop.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from service.predictions.engines import Servable
from service.serving.stages import Stages

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, float("inf"))
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, float("inf"))
STAGES = ("decode", "encode", "queue", "compute", "write")
FLUSH_SECONDS = 1.0

Labels = tuple[str, str]
"""Model and version; empty where none was found."""


class TalliedHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Iterable[int], total: float) -> None:
        """Add ``counts`` observations to the buckets in their order; ``total`` is their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Tally:
    """Observations that have not been handed on."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * len(bounds)
        self.total = 0.0

    def observe(self, amount: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.total += amount

    def hand_on(self, histogram: TalliedHistogram) -> None:
        """Give everything to a histogram."""
        histogram.add(self.counts, self.total)


def _seconds() -> Tally:
    return Tally(SECONDS)


@dataclass(slots=True)
class _OfVersion:
    """Tallies of one version."""

    decode: Tally = field(default_factory=_seconds)
    encode: Tally = field(default_factory=_seconds)
    queue: Tally = field(default_factory=_seconds)
    compute: Tally = field(default_factory=_seconds)
    write: Tally = field(default_factory=_seconds)
    rows: Tally = field(default_factory=lambda: Tally(ROWS))
    batch_rows: Tally = field(default_factory=lambda: Tally(ROWS))


class PredictionMetrics:
    """Counts and durations of answered prediction requests; one per registry. For one event loop."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "fitserve_prediction_requests",
            "Answered requests of the prediction protocols; model and version are empty where none was found.",
            ["model", "version", "protocol", "code"],
            registry=registry,
        )
        self._seconds = TalliedHistogram(
            "fitserve_prediction_seconds",
            "Time from a request's head to its answer.",
            ["model", "version", "protocol"],
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = TalliedHistogram(
            "fitserve_prediction_stage_seconds",
            "Time that answered requests spent in each stage: decode, encode, queue, compute, write.",
            ["model", "version", "stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._rows = TalliedHistogram(
            "fitserve_prediction_rows", "Rows of a request.", ["model", "version"], buckets=ROWS, registry=registry
        )
        self._batch_rows = TalliedHistogram(
            "fitserve_prediction_batch_rows",
            "Rows that the engine saw at once, when it computed a request's.",
            ["model", "version"],
            buckets=ROWS,
            registry=registry,
        )
        self._loaded_bytes = Gauge(
            "fitserve_engine_loaded_bytes", "Bytes of all loaded models.", registry=registry, multiprocess_mode="livesum"
        )
        self._read_loaded_bytes: Callable[[], int] = lambda: 0
        self._codes: dict[tuple[str, str, str, int], int] = {}
        self._durations: dict[tuple[str, str, str], Tally] = {}
        self._versions: dict[Labels, _OfVersion] = {}
        self._is_due = False

    def watch_loaded_bytes(self, read: Callable[[], int]) -> None:
        """Ask ``read`` for the bytes of all loaded models."""
        self._read_loaded_bytes = read

    def observe(self, servable: Servable | None, protocol: str, status: int, seconds: float, stages: Stages) -> None:
        """Count one answer."""
        labels = servable.labels if servable is not None else ("", "")
        code = (*labels, protocol, status)
        self._codes[code] = self._codes.get(code, 0) + 1
        duration = self._durations.get((*labels, protocol)) or self._durations.setdefault((*labels, protocol), _seconds())
        duration.observe(seconds)
        if status == 200 and stages.rows:
            self._observe_stages(labels, stages)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def _observe_stages(self, labels: Labels, stages: Stages) -> None:
        tallies = self._versions.get(labels) or self._versions.setdefault(labels, _OfVersion())
        tallies.decode.observe(stages.decode)
        tallies.encode.observe(stages.encode)
        tallies.queue.observe(stages.queue)
        tallies.compute.observe(stages.compute)
        tallies.write.observe(stages.write)
        tallies.rows.observe(stages.rows)
        tallies.batch_rows.observe(stages.batch_rows)

    def flush(self) -> None:
        """Hand on what was tallied."""
        self._is_due = False
        codes, self._codes = self._codes, {}
        durations, self._durations = self._durations, {}
        versions, self._versions = self._versions, {}
        for code, count in codes.items():
            self._requests.labels(*code).inc(count)
        for duration, tally in durations.items():
            tally.hand_on(self._seconds.labels(*duration))
        for labels, tallies in versions.items():
            for stage in STAGES:
                getattr(tallies, stage).hand_on(self._stages.labels(*labels, stage))
            tallies.rows.hand_on(self._rows.labels(*labels))
            tallies.batch_rows.hand_on(self._batch_rows.labels(*labels))
        self._loaded_bytes.set(self._read_loaded_bytes())
