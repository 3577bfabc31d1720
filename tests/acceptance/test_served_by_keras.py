"""A model that has no form in ONNX is served by Keras itself, and answers exactly as Keras does."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.acceptance.client import Document, Fitserve, accepted
from tests.acceptance.running import EMBEDDED_ONLY, RunningService, wait_until
from tests.acceptance.test_run_code import run_in

pytestmark = EMBEDDED_ONLY

SOUNDS = [
    {"type": "MelSpectrogram", "fft_length": 16, "sequence_stride": 8, "num_mel_bins": 4},
    {"type": "Flatten"},
    {"type": "Dense", "units": 2, "activation": "softmax"},
]
"""Learns from the Fourier transform of a sound, which the exporter does not know."""
COMPILE = {"loss": "SparseCategoricalCrossentropy", "optimizer": "adam"}
PREDICT = """
import json
import keras
import numpy as np

model = keras.saving.load_model("model.keras", compile=False)
print(json.dumps(model.predict(np.load("rows.npy"), verbose=0).tolist()))
"""
RECOVERY_SECONDS = 60


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """More than Keras takes at once."""
    return np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def run(running: RunningService, rows: np.ndarray) -> Document:
    """The model's run, which has published a version."""
    fitserve = Fitserve(running.http)
    classes = (rows[:, 0] > 0).astype(int)
    dataset = fitserve.upload_json(x=rows.tolist(), y=classes.tolist())["id"]
    return fitserve.succeeded(fitserve.start(fitserve.create_model(SOUNDS, COMPILE), dataset, {"epochs": 2}))


@pytest.fixture(scope="module")
def truth(running: RunningService, run: Document, rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What ``model.predict`` says in a program of its own."""
    folder: Path = tmp_path_factory.mktemp("keras")
    model = running.http.get(f"/api/runs/{run['id']}/artifacts/model.keras").raise_for_status()
    (folder / "model.keras").write_bytes(model.content)
    np.save(folder / "rows.npy", rows)
    return np.float32(json.loads(run_in(folder, PREDICT).splitlines()[-1]))


def ask(http: httpx.Client, run: Document, rows: np.ndarray) -> httpx.Response:
    return http.post(f"/v1/models/{run['model']}:predict", json={"instances": rows.tolist()}, timeout=120)


def answer(http: httpx.Client, run: Document, rows: np.ndarray) -> np.ndarray:
    return np.float32(accepted(ask(http, run, rows))["predictions"])


def test_the_version_says_what_serves_it_and_why(fitserve: Fitserve, run: Document) -> None:
    version = accepted(fitserve.http.get(f"/api/models/{run['model']}/versions/1"))
    assert (version["engine"], version["parity"]["agrees"]) == ("keras", False)
    assert "RFFT" in version["parity"]["reason"]


def test_both_protocols_answer_exactly_as_keras_does(
    fitserve: Fitserve, run: Document, rows: np.ndarray, truth: np.ndarray
) -> None:
    np.testing.assert_array_equal(answer(fitserve.http, run, rows), truth)
    body = {"rows": rows.tolist()}
    native = accepted(fitserve.http.post(f"/api/models/{run['model']}:predict", json=body))["predictions"]
    probabilities = np.float32([list(prediction["probabilities"].values()) for prediction in native])
    np.testing.assert_array_equal(probabilities, truth)
    assert [prediction["label"] for prediction in native] == truth.argmax(axis=1).tolist()


def test_its_example_works_and_its_status_is_available(fitserve: Fitserve, run: Document) -> None:
    version = accepted(fitserve.http.get(f"/api/models/{run['model']}/versions/1"))
    assert accepted(fitserve.http.post(f"/api/models/{run['model']}:predict", json=version["example"]))["predictions"]
    (status,) = accepted(fitserve.http.get(f"/v1/models/{run['model']}"))["model_version_status"]
    assert status["state"] == "AVAILABLE"


def test_the_api_itself_has_no_tensorflow(fitserve: Fitserve, running: RunningService, run: Document, rows: np.ndarray) -> None:
    answer(fitserve.http, run, rows[:1])
    loaded = {Path(mapped.path).name for mapped in running.api().memory_maps() if mapped.path}
    assert not any("tensorflow" in name for name in loaded)
    assert any("tensorflow" in mapped.path for mapped in running.sidecar().memory_maps())


def test_a_killed_sidecar_under_load_costs_only_answers_that_say_so_and_comes_back(
    running: RunningService, run: Document, rows: np.ndarray, truth: np.ndarray
) -> None:
    answer(running.http, run, rows)
    killed = running.sidecar()

    def ask_some(number: int) -> httpx.Response:
        if number == 40:
            killed.kill()
        return ask(running.http, run, rows[:1])

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask_some, range(80)))

    assert {response.status_code for response in answers} <= {200, 503}
    assert all("retry-after" in response.headers for response in answers if response.status_code == 503)
    one = answer(running.http, run, rows[:1])
    for response in answers:
        assert response.status_code == 503 or np.array_equal(np.float32(response.json()["predictions"]), one)
    assert running.sidecar().pid != killed.pid
    np.testing.assert_array_equal(answer(running.http, run, rows), truth)


def test_an_api_that_is_killed_leaves_no_sidecar_behind(running: RunningService, run: Document, rows: np.ndarray) -> None:
    answer(running.http, run, rows)
    sidecar = running.sidecar()
    running.api().kill()
    psutil.wait_procs([sidecar], timeout=15)
    assert not sidecar.is_running()
    wait_until(running.is_ready, RECOVERY_SECONDS, "the API is back")
    assert answer(running.http, run, rows).shape == (50, 2)
