"""A fresh database for every test, built by the migrations: once SQLite, once PostgreSQL."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from service.infra.database import Database, make_engine
from service.infra.migrations import upgrade
from service.main import Application, create_app
from service.predictions.metrics import PredictionMetrics
from service.settings import Settings
from tests.acceptance.running import wait_until
from tests.servers import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that name an empty database."""
    is_sqlite = request.param == "sqlite"
    url = "" if is_sqlite else new_database(request.getfixturevalue("postgres_url"))
    return Settings(data_dir=tmp_path, database_url=url, lease_seconds=60, max_attempts=2, retry_delay_seconds=0)


@pytest.fixture
def settings(empty_settings: Settings) -> Settings:
    """Settings that name a database with all tables."""
    upgrade(empty_settings)
    return empty_settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """A database with all tables and no rows but the default workspace."""
    database = Database(make_engine(settings))
    yield database
    database.close()


@pytest.fixture
def app(settings: Settings) -> Application:
    """The API; its sweeper does nothing."""
    return create_app(settings.model_copy(update={"sweep_seconds": 3600.0}), PredictionMetrics(CollectorRegistry()))


@pytest.fixture
def http(app: Application) -> Iterator[httpx.Client]:
    """A client of that API, which runs in a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started, 20, "a started server")
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
