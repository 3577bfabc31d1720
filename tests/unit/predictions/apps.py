"""Applications over fake versions, with engines that seem to cost what a test wants."""

from collections.abc import Callable

import httpx
from prometheus_client import CollectorRegistry

from service.infra.scratch import Scratch
from service.predictions.app import PredictionApp
from service.predictions.metrics import PredictionMetrics
from service.serving.measuring import Cost
from service.serving.sidecar import Sidecar
from service.settings import Settings
from service.web.drain import Drain
from service.workspaces.auth import Gate
from service.workspaces.authenticator import Authenticator
from service.workspaces.rates import Rates
from tests.fakes.keys import FakeKeys
from tests.fakes.versions import WORKSPACE, FakeVersions

BASE_URL = "http://fitserve.test"
COSTS = {
    "at once": Cost(first_seconds=1e-5, next_seconds=1e-7, has_equal_rows=True),
    "in threads": Cost(first_seconds=1.0, next_seconds=1.0, has_equal_rows=True),
    "in batches": Cost(first_seconds=1e-4, next_seconds=1e-7, has_equal_rows=True),
    "in batches in threads": Cost(first_seconds=1.0, next_seconds=1e-7, has_equal_rows=True),
}


def app_of(
    versions: FakeVersions,
    settings: Settings | None = None,
    way: str = "at once",
    registry: CollectorRegistry | None = None,
    sidecar: Sidecar | None = None,
    check_ready: Callable[[], None] = lambda: None,
    keys: FakeKeys | None = None,
    rates: Rates | None = None,
) -> PredictionApp:
    """An application whose engines run in one of the ways of ``COSTS``; without ``keys`` it asks nobody for one."""
    settings = settings or Settings()
    return PredictionApp(
        settings,
        versions,
        versions.artifacts,
        gate=Gate(Authenticator(keys or FakeKeys(WORKSPACE)), rates or Rates()),
        metrics=PredictionMetrics(registry or CollectorRegistry()),
        drain=Drain(),
        check_ready=check_ready,
        measure_engine=lambda engine, inputs, names: COSTS[way],
        sidecar=sidecar or Sidecar(60, Scratch(settings.scratch_folder, "test")),
    )


def client_of(app: PredictionApp) -> httpx.AsyncClient:
    """A client that asks the application directly."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL)
