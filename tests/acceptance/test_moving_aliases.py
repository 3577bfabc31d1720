"""An alias that moves under load: no answer fails, none is of two versions, and every process follows within a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import httpx
import numpy as np
import pytest

from tests.acceptance.client import Fitserve, accepted
from tests.acceptance.running import SHORT_TIMES, RunningService, running_service

REQUESTS_PER_SECOND = 200
MOVES = 100
MOVE_SECONDS = 0.1
ROWS = np.random.default_rng(0).normal(size=(3, 4)).round(3).tolist()
LAYERS = [{"type": "Dense", "units": 8, "activation": "tanh"}, {"type": "Dense", "units": 1}]

Ask = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


async def ask_native(client: httpx.AsyncClient, model: str) -> httpx.Response:
    return await client.post(f"/api/models/{model}:predict", json={"rows": ROWS, "alias": "production"})


async def ask_tensorflow_serving(client: httpx.AsyncClient, model: str) -> httpx.Response:
    return await client.post(f"/v1/models/{model}/labels/production:predict", json={"instances": ROWS})


async def ask_open_inference(client: httpx.AsyncClient, model: str) -> httpx.Response:
    tensor = {"name": "input", "shape": [3, 4], "datatype": "FP32", "data": ROWS}
    return await client.post(f"/v2/models/{model}/versions/production/infer", json={"inputs": [tensor]})


WAYS: list[Ask] = [ask_native, ask_tensorflow_serving, ask_open_inference]


def values_of(answer: httpx.Response) -> list[float]:
    """The prediction of each row, whatever protocol it came by."""
    document = answer.json()
    if "outputs" in document:
        return list(document["outputs"][0]["data"])
    return [entry["value"] if isinstance(entry, dict) else entry[0] for entry in document["predictions"]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service of its own, with two API processes."""
    with running_service(tmp_path_factory.mktemp("moving") / "data", SHORT_TIMES | {"FITSERVE_WORKERS": "2"}) as service:
        yield service


@pytest.fixture(scope="module")
def model(running: RunningService) -> str:
    """A model with two versions, which say different things."""
    fitserve = Fitserve(running.http)
    rows = np.random.default_rng(1).normal(size=(64, 4))
    dataset = fitserve.upload_json(x=rows.tolist(), y=rows.sum(axis=1).tolist())["id"]
    name = fitserve.create_model(LAYERS, {"loss": "MeanSquaredError", "optimizer": "adam"})
    for seed in (1, 2):
        fitserve.succeeded(fitserve.start(name, dataset, {"epochs": 1}, seed=seed))
    return name


def test_a_hundred_moves_under_load_fail_no_answer_and_mix_none(running: RunningService, model: str) -> None:
    truth = {
        version: values_of(running.http.post(f"/api/models/{model}:predict", json={"rows": ROWS, "version": version}))
        for version in (1, 2)
    }
    assert not np.allclose(truth[1], truth[2])
    point_to(running.http, model, 1)

    answers = asyncio.run(ask_while_it_moves(running, model))

    assert len(answers) > MOVES * MOVE_SECONDS * REQUESTS_PER_SECOND / 2
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["fitserve-model-version"] for answer in answers} == {"1", "2"}
    for answer in answers:
        assert np.allclose(values_of(answer), truth[int(answer.headers["fitserve-model-version"])], atol=1e-6)


def test_every_process_follows_within_a_second(running: RunningService, model: str) -> None:
    for version in (2, 1, 2):
        point_to(running.http, model, version)
        time.sleep(1.0)
        for _ in range(20):  # connections of their own, which reach whatever process takes them
            answer = httpx.post(f"{running.url}/v1/models/{model}/labels/production:predict", json={"instances": ROWS})
            assert answer.headers["fitserve-model-version"] == str(version)


def point_to(http: httpx.Client, model: str, version: int) -> None:
    accepted(http.put(f"/api/models/{model}/aliases/production", json={"version": version}), 200)


async def ask_while_it_moves(running: RunningService, model: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
    async with httpx.AsyncClient(base_url=running.url, timeout=30, limits=limits, trust_env=False) as client:
        moving = asyncio.create_task(move_on(client, model))
        asking: list[asyncio.Task[httpx.Response]] = []
        while not moving.done():
            asking.append(asyncio.create_task(WAYS[len(asking) % len(WAYS)](client, model)))
            await asyncio.sleep(1 / REQUESTS_PER_SECOND)
        await moving
        return await asyncio.gather(*asking)


async def move_on(client: httpx.AsyncClient, model: str) -> None:
    for number in range(MOVES):
        (await client.put(f"/api/models/{model}/aliases/production", json={"version": 2 - number % 2})).raise_for_status()
        await asyncio.sleep(MOVE_SECONDS)
