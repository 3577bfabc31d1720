"""What several kinds of tests share: the real servers, started when the first test asks for one."""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from service.infra.scratch import Scratch
from tests.servers import postgres_server, redis_server

for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(threads, "1")  # as many tests as cores run at once; more threads would only wait for each other
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")  # how long an example takes says more of the machine than of the code
TESTS = Path(__file__).parent
ROOT = TESTS.parent
STACK = re.compile(r"[\[-](embedded|servers)[]-]")
"""The parameter of tests that share a running service."""
settings.register_profile("fuzz", max_examples=1000, deadline=None, print_blob=True)


class Together(LoadScopeScheduling):
    """Spreads tests over processes: those of a file stay together, and so do all that share a service or its outages."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = (ROOT / file).relative_to(TESTS).parts[0]
        stack = STACK.search(nodeid) if folder == "acceptance" else None
        return stack[1] if stack else folder if folder == "chaos" else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """What xdist asks how to spread the tests: its own groups do nothing with this pytest, which ignores ``Item._nodeid``."""
    return Together(config, log)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a PostgreSQL server; ``tests.servers.new_database`` makes an empty database on it."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis server that wants a password."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    """Folders for what goes on in a test."""
    with closing(Scratch(tmp_path_factory.mktemp("scratch"), "test")) as scratch:
        yield scratch
