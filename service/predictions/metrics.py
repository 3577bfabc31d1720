"""What Prometheus sees of predictions. Unknown names never become labels, so that nobody can make up time series.

Counting with Prometheus's own objects takes longer than a small model's answer, so answers are only noted at first; the notes
are handed on a few times a second, and before a scrape. Everything here happens in the event loop.
"""

import asyncio
from array import array
from collections.abc import Callable

import numpy as np
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from service.features.raw import Array
from service.predictions.engines import Servable
from service.serving.stages import Stages

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)
STAGES = ("decode", "encode", "queue", "compute", "write")
FLUSH_SECONDS = 0.2
OK = 200

NOTED = 1 + len(STAGES) + 2
"""Numbers that are noted of an answer: its seconds, those of its stages, its rows, and those of its batch."""

Labels = tuple[str, str]
"""Model and version."""
Key = tuple[Labels, str, int]
"""Those, the protocol and the status."""
NOBODY: Labels = ("", "")


class ManyHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, amounts: Array) -> None:
        """Observe each amount."""
        places = np.searchsorted(self._upper_bounds, amounts)
        self._sum.inc(float(amounts.sum()))
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
        self._notes: dict[Key, array[float]] = {}
        self._is_due = False

    def watch_loaded_bytes(self, read: Callable[[], int]) -> None:
        """Ask ``read`` for the bytes of all loaded models."""
        self._read_loaded_bytes = read

    def observe(self, servable: Servable | None, protocol: str, status: int, seconds: float, stages: Stages) -> None:
        """Count one answer."""
        key = (servable.labels if servable is not None else NOBODY, protocol, status)
        notes = self._notes.get(key)
        if notes is None:
            notes = self._notes[key] = array("d")
        notes.extend(
            (
                seconds,
                stages.decode,
                stages.encode,
                stages.queue,
                stages.compute,
                stages.write,
                stages.rows,
                stages.batch_rows,
            )
        )
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand on what was noted."""
        self._is_due = False
        for key, notes in self._notes.items():
            self._hand_on(key, np.array(notes).reshape(-1, NOTED))
        self._notes.clear()
        self._loaded_bytes.set(self._read_loaded_bytes())

    def _hand_on(self, key: Key, notes: Array) -> None:
        """``notes``: a row of ``NOTED`` numbers for each answer."""
        (model, version), protocol, status = key
        self._requests.labels(model, version, protocol, status).inc(len(notes))
        self._seconds.labels(model, version, protocol).observe_all(notes[:, 0])
        computed = notes[notes[:, -1] > 0]
        if status != OK or not len(computed):
            return
        for place, stage in enumerate(STAGES, start=1):
            self._stages.labels(model, version, stage).observe_all(computed[:, place])
        self._rows.labels(model, version).observe_all(computed[:, -2])
        self._batch_rows.labels(model, version).observe_all(computed[:, -1])
