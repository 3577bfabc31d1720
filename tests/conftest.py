"""What several kinds of tests share: the real servers, started when the first test asks for one."""

from collections.abc import Iterator

import pytest

from tests.servers import postgres_server, redis_server


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
