"""The two stacks; how much storm there is, is set by the environment (``make chaos RUNS=1000 SEED=7``)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.cluster import Redis
from tests.servers import new_database

RUNS = int(os.environ.get("CHAOS_RUNS", "0"))
"""0 is the short form that belongs to the suite."""
SEED = int(os.environ.get("CHAOS_SEED", "7"))


@dataclass(frozen=True)
class Stack:
    """Where the state of a cluster is."""

    name: str
    settings: dict[str, str]
    broker: Redis | None


@pytest.fixture(params=["embedded", "servers"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """SQLite and a folder; or PostgreSQL and a Redis that may be killed."""
    if request.param == "embedded":
        yield Stack("embedded", {}, None)
        return
    broker = Redis(tmp_path)
    url = new_database(request.getfixturevalue("postgres_url"))
    try:
        yield Stack("servers", {"FITSERVE_DATABASE_URL": url, "FITSERVE_BROKER_URL": broker.url}, broker)
    finally:
        broker.close()


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines to print at the end, also where nothing failed."""
    lines: list[str] = []
    yield lines
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(lines))  # noqa: T201  # the table is what this test is for
