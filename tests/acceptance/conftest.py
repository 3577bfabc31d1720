"""The two stacks that acceptance tests run on; each is started once in a process."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.client import ENDLESS_FIT, Fitserve
from tests.acceptance.running import SHORT_TIMES, RunningService, environment, running_service
from tests.servers import new_database


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings that name a migrated PostgreSQL database and a Redis broker."""
    settings = {
        "FITSERVE_DATABASE_URL": new_database(request.getfixturevalue("postgres_url")),
        "FITSERVE_BROKER_URL": request.getfixturevalue("redis_url"),
    }
    subprocess.run([sys.executable, "-m", "service.cli", "migrate"], env=environment(settings), check=True, timeout=60)
    return settings


@pytest.fixture(scope="session", params=["embedded", "servers"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service, with a trainer that waits for work."""
    settings = {} if request.param == "embedded" else request.getfixturevalue("servers")
    with running_service(tmp_path_factory.mktemp("acceptance") / request.param, SHORT_TIMES | settings) as service:
        yield service


@pytest.fixture(scope="session")
def fitserve(running: RunningService) -> Fitserve:
    """A client of the running service."""
    return Fitserve(running.http)


@pytest.fixture
def busy_slot(fitserve: Fitserve) -> Iterator[str]:
    """An endless run that occupies the only slot; cancelled at the end."""
    run_id = fitserve.start_digits(ENDLESS_FIT, publish=False)
    fitserve.wait_for_epoch(run_id, 1)
    yield run_id
    fitserve.cancel(run_id)
    assert fitserve.ended(run_id)["state"] == "cancelled"
