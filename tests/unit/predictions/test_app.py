import asyncio
import threading
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram

from service.predictions.app import PredictionApp
from service.predictions.metrics import ManyHistogram
from service.serving.engine import OnnxEngine
from service.settings import Settings
from tests.fakes.versions import FakeVersions
from tests.unit.predictions.apps import COSTS, app_of, client_of

pytestmark = pytest.mark.anyio
BODIES: dict[str, Any] = {
    "/api/models/my_model:predict": {"rows": [[0, 0]]},
    "/v1/models/my_model:predict": {"instances": [[0, 0]]},
    "/v2/models/my_model/infer": {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0, 0]}]},
}
PATHS = list(BODIES)
WAYS_THAT_WAIT = ["in threads", "in batches in threads"]
LIMIT = 200_000


async def call(app: PredictionApp, path: str, messages: list[dict[str, Any]]) -> list[Any]:
    """What the application sends when the server gives it these messages."""
    sent: list[Any] = []
    pending = iter(messages)
    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"content-type", b"application/json")]}

    async def receive() -> Any:
        return next(pending)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def test_it_handles_prediction_paths_only(app: PredictionApp) -> None:
    assert all(app.handles(path) for path in PATHS)
    assert app.handles("/v1/no/such/path")
    assert not any(app.handles(path) for path in ("/api/models/my_model", "/api/models/a/b:predict", "/v11", "/"))


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_over_the_limit_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b" " * (LIMIT + 1), headers={"content-type": "application/json"})

    assert answer.status_code == 413


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_over_the_limit(app: PredictionApp, path: str) -> None:
    chunk = {"type": "http.request", "body": b" " * (LIMIT // 2 + 1), "more_body": True}

    sent = await call(app, path, [chunk, chunk])

    assert sent[0]["status"] == 413


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_in_chunks_is_put_together(app: PredictionApp, versions: FakeVersions, path: str) -> None:
    versions.publish()
    body = httpx.Request("POST", "http://x", json=BODIES[path]).content

    sent = await call(
        app,
        path,
        [
            {"type": "http.request", "body": body[:5], "more_body": True},
            {"type": "http.request", "body": body[5:], "more_body": False},
        ],
    )

    assert sent[0]["status"] == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_client_that_goes_away_gets_nothing(app: PredictionApp, path: str) -> None:
    assert await call(app, path, [{"type": "http.disconnect"}]) == []


@pytest.mark.parametrize("path", PATHS)
async def test_large_bodies_are_answered_too(client: httpx.AsyncClient, versions: FakeVersions, path: str) -> None:
    versions.publish()
    padding = b" " * 100_000  # more than is worked on where it stands

    content = httpx.Request("POST", "http://x", json=BODIES[path]).content + padding
    answer = await client.post(path, content=content, headers={"content-type": "application/json"})

    assert answer.status_code == 200


class Gate:
    """Holds engines up until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        run = OnnxEngine.run

        def run_later(engine: OnnxEngine, *arguments: Any) -> Any:
            self.reached.set()
            self.opened.wait(10)
            return run(engine, *arguments)

        monkeypatch.setattr(OnnxEngine, "run", run_later)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("way", WAYS_THAT_WAIT)
async def test_a_full_queue_is_a_429_that_says_when_to_come_back(
    versions: FakeVersions, path: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.publish()
    settings = Settings(predict_threads=1, max_waiting_predictions=0, batch_rows=2)
    async with client_of(app_of(versions, settings, way)) as client:
        await client.post(path, json=BODIES[path])
        gate = Gate(monkeypatch)
        asking = [asyncio.create_task(client.post(path, json=BODIES[path])) for _ in range(2000)]
        await asyncio.sleep(0.5)
        gate.opened.set()
        answers = await asyncio.gather(*asking)

    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("way", WAYS_THAT_WAIT)
async def test_what_takes_too_long_is_a_504_and_the_next_request_is_answered(
    versions: FakeVersions, path: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.publish()
    async with client_of(app_of(versions, Settings(predict_threads=1, predict_timeout_seconds=0.6), way)) as client:
        await client.post(path, json=BODIES[path])
        gate = Gate(monkeypatch)
        late = await client.post(path, json=BODIES[path])
        gate.opened.set()
        answer = await client.post(path, json=BODIES[path])

    assert (late.status_code, answer.status_code) == (504, 200)


@pytest.mark.parametrize("way", list(COSTS))
async def test_a_version_deleted_in_flight_answers_those_who_have_asked_and_nobody_later(
    versions: FakeVersions, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.publish()
    path = PATHS[0]
    body = httpx.Request("POST", "http://x", json=BODIES[path]).content + b" " * 100_000  # so long that a thread answers
    async with client_of(app_of(versions, way=way)) as client:
        await client.post(path, json=BODIES[path])
        gate = Gate(monkeypatch)
        asked = asyncio.create_task(client.post(path, content=body, headers={"content-type": "application/json"}))
        await asyncio.to_thread(gate.reached.wait, 10)
        versions.remove("my_model")
        versions.artifacts.files.clear()
        await asyncio.sleep(0.6)
        late = await client.post(path, json=BODIES[path])
        gate.opened.set()

        assert ((await asked).status_code, late.status_code) == (200, 404)


@pytest.mark.parametrize("path", PATHS)
async def test_an_engine_that_is_not_loaded_in_time_is_a_503_and_is_loaded_on(versions: FakeVersions, path: str) -> None:
    versions.publish()
    versions.artifacts.delay_seconds = 1.0
    async with client_of(app_of(versions, Settings(predict_timeout_seconds=0.3))) as client:
        early = await client.post(path, json=BODIES[path])
        await asyncio.sleep(1.0)
        answer = await client.post(path, json=BODIES[path])

    assert (early.status_code, early.headers["retry-after"], answer.status_code) == (503, "5", 200)


@pytest.mark.parametrize("path", PATHS)
async def test_a_mistake_of_ours_shows_nothing_of_the_inside(
    client: httpx.AsyncClient, versions: FakeVersions, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "resolve", lambda *arguments: 1 / 0)

    answer = await client.post(path, json=BODIES[path])

    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.headers["x-request-id"]


async def test_unknown_names_make_no_time_series(
    app: PredictionApp, client: httpx.AsyncClient, registry: CollectorRegistry
) -> None:
    for name in ("one", "two"):
        await client.post(f"/v1/models/{name}:predict", json={"instances": [[0, 0]]})
    app.metrics.flush()

    labels = {"model": "", "version": "", "protocol": "tensorflow_serving", "code": "404"}
    assert registry.get_sample_value("fitserve_prediction_requests_total", labels) == 2


async def test_answers_are_counted_by_model_version_and_stage(
    app: PredictionApp, client: httpx.AsyncClient, versions: FakeVersions, registry: CollectorRegistry
) -> None:
    versions.publish()

    await asyncio.gather(*(client.post(PATHS[0], json={"rows": [[0, 0]] * 3}) for _ in range(5)))
    await client.post(PATHS[0], json={"rows": [[0]]})
    app.metrics.flush()

    of_version = {"model": "my_model", "version": "1"}
    value = registry.get_sample_value
    assert value("fitserve_prediction_requests_total", {**of_version, "protocol": "native", "code": "200"}) == 5
    assert value("fitserve_prediction_requests_total", {**of_version, "protocol": "native", "code": "422"}) == 1
    assert value("fitserve_prediction_seconds_count", {**of_version, "protocol": "native"}) == 6
    for stage in ("decode", "encode", "compute", "write"):
        assert value("fitserve_prediction_stage_seconds_count", {**of_version, "stage": stage}) == 5
        assert (value("fitserve_prediction_stage_seconds_sum", {**of_version, "stage": stage}) or 0) > 0
    assert value("fitserve_prediction_rows_sum", of_version) == 15
    assert value("fitserve_prediction_batch_rows_bucket", {**of_version, "le": "4.0"}) == 5
    assert (value("fitserve_engine_loaded_bytes") or 0) > 0


async def test_requests_that_run_together_are_seen_as_one_batch(versions: FakeVersions, registry: CollectorRegistry) -> None:
    versions.publish()
    app = app_of(versions, way="in batches", registry=registry)
    async with client_of(app) as client:
        await client.post(PATHS[0], json=BODIES[PATHS[0]])
        await asyncio.gather(*(client.post(PATHS[0], json={"rows": [[0, 0]] * 2}) for _ in range(10)))
    app.metrics.flush()

    labels = {"model": "my_model", "version": "1"}
    alone = registry.get_sample_value("fitserve_prediction_batch_rows_bucket", {**labels, "le": "2.0"})
    assert alone is not None
    assert alone < 11


def test_many_observations_are_the_same_as_one_after_the_other() -> None:
    registry = CollectorRegistry()
    amounts = [0.0, 1.0, 1.5, 2.0, 7.0, 1e9]
    many = ManyHistogram("many", "All at once.", buckets=(1, 2, 5), registry=registry)
    single = Histogram("single", "One by one.", buckets=(1, 2, 5), registry=registry)

    many.observe_all(np.array(amounts))
    for amount in amounts:
        single.observe(amount)

    for sample in ("count", "sum"):
        assert registry.get_sample_value(f"many_{sample}") == registry.get_sample_value(f"single_{sample}")
    for bound in ("1.0", "2.0", "5.0", "+Inf"):
        labels = {"le": bound}
        assert registry.get_sample_value("many_bucket", labels) == registry.get_sample_value("single_bucket", labels)
