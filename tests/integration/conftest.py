"""A fresh database for every test, built by the migrations: once SQLite, once PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.infra.database import Database, make_engine
from service.infra.migrations import upgrade
from service.settings import Settings
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
