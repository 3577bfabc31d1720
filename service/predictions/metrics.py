"""What Prometheus sees of predictions. Unknown names never become labels, so that nobody can make up time series.

Counting with Prometheus's own objects takes longer than a small model's answer, so answers are only noted at first; the notes
are handed on a few times a second, and before a scrape. Everything here happens in the event loop.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from service.predictions.engines import Servable
from service.serving.stages import Stages

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)
STAGES = ("decode", "encode", "queue", "compute", "write")
FLUSH_SECONDS = 0.2
OK = 200

Labels = tuple[str, str]
"""Model and version."""
NOBODY: Labels = ("", "")


class ManyHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe each amount."""
        places = np.searchsorted(self._upper_bounds, amounts)
        self._sum.inc(float(np.sum(amounts)))
        for place, count in enumerate(np.bincount(places).tolist()):
            if count:
                self._buckets[place].inc(count)


class PredictionMetrics:
    """Counts and durations of answered prediction requests; one per registry. For one event loop."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "fitserve_prediction_requests",
            "Answered requests of the prediction protocols; model and version are empty where none was found.",
            ["model", "version", "protocol", "code"],
            registry=registry,
        )
        self._seconds = ManyHistogram(
            "fitserve_prediction_seconds",
            "Time from a request's head to its answer.",
            ["model", "version", "protocol"],
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = ManyHistogram(
            "fitserve_prediction_stage_seconds",
            "Time that answered requests spent in each stage: decode, encode, queue, compute, write.",
            ["model", "version", "stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._rows = ManyHistogram(
            "fitserve_prediction_rows", "Rows of a request.", ["model", "version"], buckets=ROWS, registry=registry
        )
        self._batch_rows = ManyHistogram(
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
        self._answers: dict[tuple[str, str, str, int], list[float]] = {}
        self._computed: dict[Labels, list[Stages]] = {}
        self._is_due = False

    def watch_loaded_bytes(self, read: Callable[[], int]) -> None:
        """Ask ``read`` for the bytes of all loaded models."""
        self._read_loaded_bytes = read

    def observe(self, servable: Servable | None, protocol: str, status: int, seconds: float, stages: Stages) -> None:
        """Count one answer."""
        labels = servable.labels if servable is not None else NOBODY
        key = (*labels, protocol, status)
        if key in self._answers:
            self._answers[key].append(seconds)
        else:
            self._answers[key] = [seconds]
        if status == OK and stages.rows:
            self._computed.setdefault(labels, []).append(stages)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand on what was noted."""
        self._is_due = False
        for (model, version, protocol, status), seconds in self._answers.items():
            self._requests.labels(model, version, protocol, status).inc(len(seconds))
            self._seconds.labels(model, version, protocol).observe_all(seconds)
        for labels, stages in self._computed.items():
            for stage in STAGES:
                self._stages.labels(*labels, stage).observe_all([getattr(entry, stage) for entry in stages])
            self._rows.labels(*labels).observe_all([entry.rows for entry in stages])
            self._batch_rows.labels(*labels).observe_all([entry.batch_rows for entry in stages])
        self._answers.clear()
        self._computed.clear()
        self._loaded_bytes.set(self._read_loaded_bytes())
