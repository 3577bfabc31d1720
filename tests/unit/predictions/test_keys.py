"""Predictions ask who wants them, without waiting where that is known."""

from typing import Any

import httpx
import pytest

from service.predictions.app import PredictionApp
from service.workspaces.keys import new_key
from service.workspaces.rates import Rates
from service.workspaces.states import Caller
from tests.fakes.clock import Clock
from tests.fakes.counts import FakeCounts
from tests.fakes.keys import FakeKeys
from tests.fakes.versions import WORKSPACE, FakeVersions
from tests.unit.predictions.apps import app_of, client_of

pytestmark = pytest.mark.anyio
KEY = new_key()
BODY = b'{"instances": [[0, 0]]}'
PATH = "/v1/models/my_model:predict"


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys(WORKSPACE, {KEY.encode(): Caller(WORKSPACE, frozenset({"predict"}), "key_1")})


@pytest.fixture
def guarded(versions: FakeVersions, keys: FakeKeys) -> PredictionApp:
    versions.publish()
    return app_of(versions, keys=keys)


@pytest.fixture
def guarded_client(guarded: PredictionApp) -> httpx.AsyncClient:
    return client_of(guarded)


def scope_with(key: str) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": PATH, "headers": [(b"authorization", b"Bearer " + key.encode())]}


async def test_a_known_key_is_answered_at_once(guarded: PredictionApp, guarded_client: httpx.AsyncClient, keys: FakeKeys) -> None:
    assert guarded.answer_now(scope_with(KEY), BODY) is None
    assert (await guarded_client.post(PATH, content=BODY, headers={"Authorization": f"Bearer {KEY}"})).status_code == 200

    answered = [guarded.answer_now(scope_with(KEY), BODY) for _ in range(10)]

    assert [found[1].status for found in answered if found is not None] == [200] * 10
    assert len(keys.questions) == 1


async def test_an_unknown_key_is_refused_without_looking_for_the_model(
    guarded: PredictionApp, guarded_client: httpx.AsyncClient, keys: FakeKeys
) -> None:
    other = new_key()

    assert guarded.answer_now(scope_with(other), BODY) is None
    answer = await guarded_client.post("/v1/models/no_such_model:predict", content=BODY, headers={"X-API-Key": other})

    assert answer.status_code == 401
    assert answer.json()["error"].startswith("This needs a valid API key.")


async def test_a_key_of_another_workspace_finds_no_model(guarded_client: httpx.AsyncClient, keys: FakeKeys) -> None:
    keys.callers[KEY.encode()] = Caller("ws_other", frozenset({"predict"}), "key_1")

    assert (await guarded_client.post(PATH, content=BODY, headers={"X-API-Key": KEY})).status_code == 404


async def test_a_known_key_without_the_scope_is_refused_at_once(
    guarded: PredictionApp, guarded_client: httpx.AsyncClient, keys: FakeKeys
) -> None:
    keys.callers[KEY.encode()] = Caller(WORKSPACE, frozenset({"read"}), "key_1")
    await guarded_client.post(PATH, content=BODY, headers={"X-API-Key": KEY})

    found = guarded.answer_now(scope_with(KEY), BODY)

    assert found is not None
    assert found[1].status == 403
    assert b"'predict'" in found[1].body


def limited(versions: FakeVersions, keys: FakeKeys, rates: Rates | None = None) -> PredictionApp:
    """An application whose only key belongs to a workspace of two requests a minute."""
    keys.callers[KEY.encode()] = Caller(WORKSPACE, frozenset({"predict"}), "key_1", requests_per_minute=2)
    versions.publish()
    return app_of(versions, keys=keys, rates=rates)


async def test_a_workspace_that_sends_too_much_is_refused_at_once(versions: FakeVersions, keys: FakeKeys) -> None:
    app = limited(versions, keys)
    assert app.answer_now(scope_with(KEY), BODY) is None
    await client_of(app).post(PATH, content=BODY, headers={"X-API-Key": KEY})

    answered = [app.answer_now(scope_with(KEY), BODY) for _ in range(2)]

    assert [found[1].status for found in answered if found is not None] == [200, 429]
    assert answered[1] is not None
    refusal = answered[1][1]
    assert b"Quota 'requests_per_minute'" in refusal.body
    assert (b"retry-after", b"60") in refusal.headers


@pytest.mark.parametrize("path", [PATH, "/v2/models/my_model/infer", "/api/models/my_model:predict", "/v1/models/my_model"])
async def test_every_protocol_counts_and_refuses_in_its_own_form(versions: FakeVersions, keys: FakeKeys, path: str) -> None:
    client = client_of(limited(versions, keys))
    method = "GET" if path.endswith("my_model") else "POST"
    answers = [await client.request(method, path, content=BODY, headers={"X-API-Key": KEY}) for _ in range(3)]

    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert answers[2].headers["Retry-After"] == "60"
    body = answers[2].json()
    assert "Quota 'requests_per_minute'" in (body["detail"] if path.startswith("/api") else body["error"])


async def test_shared_rates_send_a_request_the_way_that_may_wait(versions: FakeVersions, keys: FakeKeys) -> None:
    app = limited(versions, keys, Rates(FakeCounts(Clock()), clock=Clock()))
    client = client_of(app)
    statuses = [(await client.post(PATH, content=BODY, headers={"X-API-Key": KEY})).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert app.answer_now(scope_with(KEY), BODY) is None
