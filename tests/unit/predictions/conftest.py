"""One application over fake versions, asked through HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.predictions.app import PredictionApp
from service.predictions.metrics import PredictionMetrics
from service.settings import Settings
from tests.fakes.versions import WORKSPACE, FakeVersions

BASE_URL = "http://fitserve.test"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def versions() -> FakeVersions:
    return FakeVersions()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def app(versions: FakeVersions, registry: CollectorRegistry) -> PredictionApp:
    settings = Settings(max_body_bytes=200_000, max_predict_rows=1000)
    return PredictionApp(settings, versions, versions.artifacts, lambda scope: WORKSPACE, PredictionMetrics(registry))


@pytest.fixture
async def client(app: PredictionApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL) as client:
        yield client
