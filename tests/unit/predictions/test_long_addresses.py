"""Addresses and hosts that clients make up, of which none is kept for ever."""

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from service.predictions.app import PredictionApp
from service.web.origins import Origins

LONG, MANY = 50_000, 100


@pytest.fixture
def kept_bytes() -> Iterator[Callable[[], int]]:
    """Memory that has been taken since the beginning of the test and not given back."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


def test_long_addresses_are_not_remembered(app: PredictionApp, kept_bytes: Callable[[], int]) -> None:
    for number in range(MANY):
        assert app.handles(f"/v2/{number}" + "x" * LONG)
        assert not app.handles(f"/api/{number}" + "x" * LONG)

    assert kept_bytes() < MANY * LONG / 10


def test_long_hosts_are_not_remembered(kept_bytes: Callable[[], int]) -> None:
    origins = Origins()
    for number in range(MANY):
        assert not origins.trusts(b"%d." % number + b"x" * LONG)

    assert kept_bytes() < MANY * LONG / 10
