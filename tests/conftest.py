"""What several kinds of tests share: the real servers, started when the first test asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import postgres_server, redis_server

TESTS = Path(__file__).parent


SERVICES = ("acceptance", "chaos")
"""Folders whose tests share running services."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests are spread over processes: those of a file stay together, and so do all that share running services."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder in SERVICES else str(item.path)))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server; ``tests.servers.new_database`` makes an empty database on it."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis server that wants a password."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url
