"""What a request brings, and what it needs."""

from typing import Any

import pytest

from service.workspaces.auth import Gate, key_in, needed_scope
from service.workspaces.authenticator import Authenticator
from service.workspaces.errors import MissingScope, QuotaExceeded
from service.workspaces.rates import Rates
from service.workspaces.states import Caller
from tests.fakes.clock import Clock
from tests.fakes.counts import FakeCounts
from tests.fakes.keys import FakeKeys


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], b""),
        ([(b"authorization", b"Bearer one")], b"one"),
        ([(b"authorization", b"bearer  one ")], b"one"),
        ([(b"x-api-key", b"two")], b"two"),
        ([(b"x-api-key", b"two"), (b"authorization", b"Bearer one")], b"one"),
        ([(b"authorization", b"Basic dXNlcjpwYXNz"), (b"x-api-key", b"two")], b"two"),
        ([(b"authorization", b"Bearer")], b""),
    ],
)
def test_a_key_comes_as_bearer_token_or_in_its_own_header(headers: list[tuple[bytes, bytes]], key: bytes) -> None:
    assert key_in({"type": "http", "headers": headers}) == key


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/runs", "read"),
        ("HEAD", "/api/runs", "read"),
        ("POST", "/api/runs", "train"),
        ("DELETE", "/api/datasets/ds_1", "train"),
        ("GET", "/api/no/such/path", "read"),
        ("GET", "/api/keys", "admin"),
        ("DELETE", "/api/keys/key_1", "admin"),
        ("GET", "/metrics", "admin"),
        ("GET", "/livez", None),
        ("GET", "/readyz", None),
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
    ],
)
def test_method_and_path_say_what_a_key_must_allow(method: str, path: str, scope: str | None) -> None:
    assert needed_scope(method, path) == scope


def test_a_scope_allows_itself_and_admin_allows_all() -> None:
    Caller("ws_1", frozenset({"train"})).require("train")
    Caller("ws_1", frozenset({"admin"})).require("predict")
    with pytest.raises(MissingScope, match="'read'"):
        Caller("ws_1", frozenset({"train"})).require("read")


def request() -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/v1/models/m:predict", "headers": []}


def gate_of(requests_per_minute: int, rates: Rates) -> Gate:
    """A gate of one workspace that asks for no key."""
    keys = FakeKeys("ws_1", {b"": Caller("ws_1", frozenset({"admin"}), requests_per_minute=requests_per_minute)})
    return Gate(Authenticator(keys), rates)


@pytest.mark.anyio
async def test_a_request_that_could_not_be_answered_at_once_counts_once() -> None:
    gate, twice = gate_of(2, Rates(clock=Clock())), request()
    await gate.admit(request(), "predict")
    for _ in range(3):
        assert gate.recall(twice, "predict") is not None
        await gate.admit(twice, "predict")
    with pytest.raises(QuotaExceeded):
        gate.recall(request(), "predict")


@pytest.mark.anyio
async def test_asking_whether_a_stream_may_go_on_counts_nothing() -> None:
    gate = gate_of(1, Rates(clock=Clock()))
    for _ in range(5):
        assert await gate.is_still_admitted(request(), "read")
    await gate.admit(request(), "read")


@pytest.mark.anyio
async def test_what_is_shared_is_asked_by_those_who_can_wait_and_only_where_there_is_a_limit() -> None:
    counts = FakeCounts(Clock())
    limited, unlimited = gate_of(10, Rates(counts, clock=Clock())), gate_of(0, Rates(counts, clock=Clock()))
    for gate in (limited, unlimited):
        await gate.admit(request(), "predict")
    assert limited.recall(request(), "predict") is None
    assert unlimited.recall(request(), "predict") is not None
    assert (await counts.look("ws_1"))[0] == 1
