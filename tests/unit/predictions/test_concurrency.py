"""Requests at the same time get their own rows' answers, from one version each, also while an alias moves."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.settings import Settings
from tests.fakes.versions import FakeVersions, sigmoid
from tests.unit.predictions.apps import COSTS, app_of, client_of
from tests.unit.predictions.tensors import PATH, as_bytes, outputs_of, packed, tensor

Rows = list[list[float]]
numbers = st.floats(min_value=-4, max_value=4, width=32)
requests = st.lists(st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=5), min_size=1, max_size=12)


async def ask_natively(client: httpx.AsyncClient, rows: Rows) -> httpx.Response:
    return await client.post("/api/models/my_model:predict", json={"rows": rows})


async def ask_as_tensorflow_serving(client: httpx.AsyncClient, rows: Rows) -> httpx.Response:
    return await client.post("/v1/models/my_model:predict", json={"instances": rows})


async def ask_for_bytes(client: httpx.AsyncClient, rows: Rows) -> httpx.Response:
    sized, parts = as_bytes([tensor("x", [len(rows), 2], "FP32", rows)])
    body, headers = packed({"inputs": sized, "parameters": {"binary_data_output": True}}, *parts)
    return await client.post(PATH, content=body, headers=headers)


WAYS_TO_ASK = (ask_natively, ask_as_tensorflow_serving, ask_for_bytes)
VALUES_OF: tuple[Callable[[httpx.Response], Any], ...] = (
    lambda answer: [entry["value"] for entry in answer.json()["predictions"]],
    lambda answer: [entry[0] for entry in answer.json()["predictions"]],
    lambda answer: outputs_of(answer)["y0"].ravel(),
)


@settings(max_examples=30, deadline=None)
@given(batches=requests, way=st.sampled_from(list(COSTS)), batch_rows=st.integers(2, 8))
def test_rows_of_concurrent_requests_are_never_mixed_up(batches: list[Rows], way: str, batch_rows: int) -> None:
    versions = FakeVersions()
    versions.publish(weights=[[1.0], [0.1]])
    settings_of_batches = Settings(batch_rows=batch_rows, max_waiting_predictions=100)

    async def ask_all() -> list[httpx.Response]:
        async with client_of(app_of(versions, settings_of_batches, way)) as client:
            return await asyncio.gather(*(WAYS_TO_ASK[index % 3](client, rows) for index, rows in enumerate(batches)))

    for index, (rows, answer) in enumerate(zip(batches, asyncio.run(ask_all()), strict=True)):
        values = VALUES_OF[index % 3](answer)
        assert np.allclose(values, sigmoid(np.array(rows) @ [1.0, 0.1]), atol=1e-5)


def test_an_alias_that_moves_under_load_fails_and_mixes_no_answer() -> None:
    versions = FakeVersions()
    versions.publish(weights=[[1.0], [0.0]])
    versions.publish(weights=[[-1.0], [0.0]])
    versions.aliases["my_model", "production"] = 1
    versions.artifacts.delay_seconds = 0.2
    moved_at, first_new_at = 0.0, 0.0

    async def ask_until(client: httpx.AsyncClient, end: float) -> list[httpx.Response]:
        nonlocal first_new_at
        clock, answers = asyncio.get_running_loop().time, []
        while clock() < end:
            body = {"rows": [[1.0, 0.0], [2.0, 0.0]], "alias": "production"}
            answers.append(await client.post("/api/models/my_model:predict", json=body))
            if not first_new_at and answers[-1].headers["fitserve-model-version"] == "2":
                first_new_at = clock()
            await asyncio.sleep(0.002)
        return answers

    async def scenario() -> list[httpx.Response]:
        nonlocal moved_at
        clock = asyncio.get_running_loop().time
        async with client_of(app_of(versions)) as client:
            asking = [asyncio.create_task(ask_until(client, clock() + 2.0)) for _ in range(4)]
            await asyncio.sleep(0.5)
            versions.aliases["my_model", "production"] = 2
            moved_at = clock()
            return [answer for task in asking for answer in await task]

    answers = asyncio.run(scenario())

    assert {answer.status_code for answer in answers} == {200}
    for document in (answer.json() for answer in answers):
        sign = {1: 1.0, 2: -1.0}[document["version"]]
        values = [entry["value"] for entry in document["predictions"]]
        assert np.allclose(values, sigmoid([sign, 2 * sign]), atol=1e-5)
    assert 0 < first_new_at - moved_at < 10.0  # half a second, and what else the machine has to do
