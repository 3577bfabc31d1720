"""One application over fake versions, asked through HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.predictions.app import PredictionApp
from service.settings import Settings
from tests.fakes.versions import FakeVersions
from tests.unit.predictions.apps import app_of, client_of


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
    return app_of(versions, Settings(max_body_bytes=200_000, max_predict_rows=1000), registry=registry)


@pytest.fixture
async def client(app: PredictionApp) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client
