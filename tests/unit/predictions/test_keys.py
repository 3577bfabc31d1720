"""Predictions ask who wants them, without waiting where that is known."""

from typing import Any

import httpx
import pytest

from service.predictions.app import PredictionApp
from service.workspaces.keys import new_key
from service.workspaces.states import Caller
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
