"""Versions that only Keras can serve, through HTTP. Their process is one without TensorFlow here."""

import asyncio
import importlib.util
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.infra.scratch import Scratch
from service.predictions.app import PredictionApp
from service.serving.sidecar import Sidecar
from tests.fakes import light_sidecar
from tests.fakes.light_sidecar import DIE, HANG, kill
from tests.fakes.versions import FakeVersions
from tests.unit.predictions.apps import app_of

pytestmark = pytest.mark.anyio

NATIVE, SERVING = "/api/models/my_model:predict", "/v1/models/my_model:predict"


@pytest.fixture
def sidecar(scratch: Scratch) -> Iterator[Sidecar]:
    sidecar = Sidecar(2, scratch, module=light_sidecar.__name__)
    yield sidecar
    sidecar.close()


@pytest.fixture
def app(versions: FakeVersions, registry: CollectorRegistry, sidecar: Sidecar) -> PredictionApp:
    return app_of(versions, registry=registry, sidecar=sidecar)


def publish(versions: FakeVersions, factor: float = 2, **changes: Any) -> None:
    """Publish a version that answers its rows times the factor."""
    model = versions.artifacts.put(str(factor).encode())
    versions.publish(engine="keras", reason="No ONNX.", onnx_sha256=None, keras_sha256=model, **changes)


async def serving(client: httpx.AsyncClient, value: float, path: str = SERVING) -> httpx.Response:
    return await client.post(path, json={"instances": [[value, 1]]})


async def test_both_protocols_answer_with_what_keras_says(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish(versions)

    native = await client.post(NATIVE, json={"rows": [[1, 2], [3, 4]]})

    assert native.json()["predictions"] == [{"value": [2, 4]}, {"value": [6, 8]}]
    assert (await serving(client, 3)).json() == {"predictions": [[6, 2]]}
    assert native.headers["fitserve-model-version"] == "1"


async def test_the_status_says_that_the_version_is_available(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish(versions)
    (status,) = (await client.get("/v1/models/my_model")).json()["model_version_status"]
    assert (status["state"], status["status"]["error_code"]) == ("AVAILABLE", "OK")


async def test_a_host_without_keras_refuses_with_the_reason(
    client: httpx.AsyncClient, versions: FakeVersions, sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch, scratch: Scratch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sidecar, "is_installed", Sidecar(1, scratch).is_installed)
    publish(versions)

    refused = await client.post(NATIVE, json={"rows": [[1, 2]]})
    (status,) = (await client.get("/v1/models/my_model")).json()["model_version_status"]

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert "needs Keras, which this host does not run. It has no ONNX engine: No ONNX." in refused.json()["detail"]
    assert (status["state"], status["status"]["error_message"]) == ("END", "No ONNX.")
    assert sidecar.pid is None


async def test_a_version_whose_file_is_gone_is_refused_and_answers_when_it_is_back(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    publish(versions)
    files, versions.artifacts.files = versions.artifacts.files, {}

    assert (await serving(client, 3)).status_code == 503

    versions.artifacts.files = files
    assert (await serving(client, 3)).status_code == 200


async def test_a_process_that_dies_makes_an_answer_unavailable_and_the_next_one_is_right(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    publish(versions)

    lost = await serving(client, DIE)

    assert (lost.status_code, lost.headers["retry-after"]) == (503, "1")
    assert lost.json() == {"error": "The process that runs Keras has died."}
    assert (await serving(client, 3)).json() == {"predictions": [[6, 2]]}


async def test_a_process_that_was_killed_in_a_quiet_moment_costs_no_answer(
    client: httpx.AsyncClient, versions: FakeVersions, sidecar: Sidecar
) -> None:
    publish(versions)
    await serving(client, 3)
    assert sidecar.pid is not None
    kill(sidecar.pid)

    assert (await serving(client, 3)).status_code == 200


async def test_waiting_for_keras_holds_up_no_other_answer(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish(versions)
    versions.publish("small")
    versions.publish("large")
    await serving(client, 3)
    hung = [asyncio.create_task(serving(client, HANG)) for _ in range(20)]
    await asyncio.sleep(0.1)

    for model in ("small", "large"):
        assert (await serving(client, 1, f"/v1/models/{model}:predict")).status_code == 200
    assert not any(task.done() for task in hung)

    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)


async def test_an_alias_moves_from_onnx_to_keras_within_a_second_and_no_answer_is_refused(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    versions.publish()
    publish(versions)
    versions.aliases["my_model", "production"] = 1
    path = "/v1/models/my_model/labels/production:predict"
    assert (await serving(client, 3, path)).headers["fitserve-model-version"] == "1"
    versions.aliases["my_model", "production"] = 2

    answers = []
    for _ in range(100):
        answers.append(await serving(client, 3, path))
        await asyncio.sleep(0.01)

    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].headers["fitserve-model-version"] == "2"
    assert answers[-1].json() == {"predictions": [[6, 2]]}
