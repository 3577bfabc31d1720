import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.predictions.app import PredictionApp
from service.predictions.metrics import PredictionMetrics
from service.predictions.workbench import Workbench
from service.settings import Settings
from tests.fakes.versions import WORKSPACE, FakeVersions

pytestmark = pytest.mark.anyio
PATHS = ["/api/models/my_model:predict", "/v1/models/my_model:predict"]
BODIES = {PATHS[0]: {"rows": [[0, 0]]}, PATHS[1]: {"instances": [[0, 0]]}}
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
    assert all(app.handles("POST", path) for path in PATHS)
    assert app.handles("GET", "/v1/no/such/path")
    assert not any(app.handles("POST", path) for path in ("/api/models/my_model", "/api/models/a/b:predict", "/v11", "/"))


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
    (field,) = BODIES[path]
    padding = " " * 100_000  # more than is worked on where it stands

    content = f'{{"{field}": [[0, 0]]{padding}}}'
    answer = await client.post(path, content=content, headers={"content-type": "application/json"})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_full_queue_is_a_429_that_says_when_to_come_back(versions: FakeVersions, path: str) -> None:
    versions.publish(parameters=10**9)  # so many that the answer is worked out in a thread
    full = Workbench(threads=1, max_waiting=-1)
    metrics = PredictionMetrics(CollectorRegistry())
    app = PredictionApp(Settings(), versions, versions.artifacts, lambda scope: WORKSPACE, metrics, full)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://fitserve.test")

    answer = await client.post(path, json=BODIES[path])

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize("path", PATHS)
async def test_a_mistake_of_ours_shows_nothing_of_the_inside(
    client: httpx.AsyncClient, versions: FakeVersions, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "resolve", lambda *arguments: 1 / 0)

    answer = await client.post(path, json=BODIES[path])

    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.headers["x-request-id"]


async def test_unknown_names_make_no_time_series(client: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    for name in ("one", "two"):
        await client.post(f"/v1/models/{name}:predict", json={"instances": [[0, 0]]})

    labels = {"model": "", "version": "", "protocol": "tensorflow_serving", "code": "404"}
    assert registry.get_sample_value("fitserve_prediction_requests_total", labels) == 2


async def test_concurrent_answers_are_counted_by_model_and_version(
    client: httpx.AsyncClient, versions: FakeVersions, registry: CollectorRegistry
) -> None:
    versions.publish()

    await asyncio.gather(*(client.post(PATHS[0], json=BODIES[PATHS[0]]) for _ in range(5)))

    labels = {"model": "my_model", "version": "1", "protocol": "native", "code": "200"}
    assert registry.get_sample_value("fitserve_prediction_requests_total", labels) == 5
    assert registry.get_sample_value("fitserve_prediction_seconds_count", {"protocol": "native"}) == 5
