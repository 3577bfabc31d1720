"""What Prometheus sees of predictions. Unknown names never become labels, so that nobody can make up time series."""

from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from service.predictions.engines import Servable

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class PredictionMetrics:
    """Counts and durations of answered prediction requests; one per registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "fitserve_prediction_requests",
            "Answered requests of the prediction protocols; model and version are empty where none was found.",
            ["model", "version", "protocol", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "fitserve_prediction_seconds",
            "Time from a request's head to its answer.",
            ["protocol"],
            buckets=BUCKETS,
            registry=registry,
        )
        # Finding a child by its labels takes longer than counting with it.
        self._counter_of = cache(self._requests.labels)
        self._duration_of = cache(self._seconds.labels)

    def observe(self, servable: Servable | None, protocol: str, status: int, seconds: float) -> None:
        """Count one answer."""
        model, version = (servable.version.model, servable.version.number) if servable else ("", "")
        self._counter_of(model, version, protocol, status).inc()
        self._duration_of(protocol).observe(seconds)
