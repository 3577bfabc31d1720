"""A fresh database for every test, as the migrations build it: once SQLite, once PostgreSQL."""

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from sqlalchemy import make_url

from service.infra.database import Database, make_engine
from service.infra.migrations import upgrade
from service.main import Application, create_app
from service.predictions.metrics import PredictionMetrics
from service.settings import Settings
from tests.acceptance.running import wait_until
from tests.servers import new_database


def settings_of(data_dir: Path, database_url: str) -> Settings:
    """What all of these tests are set to."""
    return Settings(data_dir=data_dir, database_url=database_url, lease_seconds=60, max_attempts=2, retry_delay_seconds=0)


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Which database it is."""
    return str(request.param)


@pytest.fixture
def empty_settings(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Settings:
    """Settings that name an empty database."""
    url = "" if dialect == "sqlite" else new_database(request.getfixturevalue("postgres_url"))
    return settings_of(tmp_path, url)


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose database has all tables, to be copied."""
    folder = tmp_path_factory.mktemp("tables")
    upgrade(Settings(data_dir=folder))
    return folder


@pytest.fixture(scope="session")
def postgresql_tables(postgres_url: str) -> str:
    """The name of a database with all tables, to be copied."""
    url = new_database(postgres_url)
    upgrade(Settings(database_url=url))
    return make_url(url).database or ""


@pytest.fixture
def settings(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Settings:
    """Settings that name a database with all tables: a copy of one, since the migrations take a second."""
    if dialect == "sqlite":
        shutil.copytree(request.getfixturevalue("sqlite_tables"), tmp_path, dirs_exist_ok=True)
        return settings_of(tmp_path, "")
    url = new_database(request.getfixturevalue("postgres_url"), request.getfixturevalue("postgresql_tables"))
    return settings_of(tmp_path, url)


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
