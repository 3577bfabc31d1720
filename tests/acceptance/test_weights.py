"""W and b of a run, as a learner reads them and as Keras loads them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.acceptance.client import ENDLESS_FIT, TUTORIAL_LAYERS, Document, Fitserve, accepted, refused
from tests.acceptance.running import EMBEDDED_ONLY, RunningService

pytestmark = EMBEDDED_ONLY

SHORT_FIT = {"epochs": 2, "batch_size": 16}
SHAPES = {"layer1": [64, 25], "layer2": [25, 15], "layer3": [15, 1]}
SHOW_SAVED = """
import json, sys, keras
model = keras.saving.load_model(sys.argv[1])
print(json.dumps([[layer.name, [weight.tolist() for weight in layer.get_weights()]] for layer in model.layers]))
"""


@pytest.fixture(scope="module")
def run_id(running: RunningService) -> str:
    """A run of the tutorial's model that has succeeded."""
    fitserve = Fitserve(running.http)
    run_id = fitserve.start_digits(SHORT_FIT)
    fitserve.succeeded(run_id)
    return run_id


def ask(fitserve: Fitserve, run_id: str, **query: Any) -> httpx.Response:
    return fitserve.http.get(f"/api/runs/{run_id}/weights", params=query)


def weights_of(fitserve: Fitserve, run_id: str, **query: Any) -> list[Document]:
    """The layers of an answer."""
    document = accepted(ask(fitserve, run_id, **query))
    assert document["run"] == run_id
    layers: list[Document] = document["layers"]
    return layers


def download(fitserve: Fitserve, run_id: str, name: str, folder: Path) -> Path:
    response = fitserve.http.get(f"/api/runs/{run_id}/artifacts/{name}").raise_for_status()
    (folder / name).write_bytes(response.content)
    return folder / name


def test_the_layers_have_w_and_b_under_their_names(fitserve: Fitserve, run_id: str) -> None:
    layers = weights_of(fitserve, run_id)
    assert [(layer["name"], layer["type"]) for layer in layers] == [(layer["name"], "Dense") for layer in TUTORIAL_LAYERS]
    for layer in layers:
        kernel, bias = layer["weights"]
        assert (kernel["name"], kernel["symbol"], kernel["shape"]) == ("kernel", "W", SHAPES[layer["name"]])
        assert (bias["name"], bias["symbol"], bias["shape"]) == ("bias", "b", SHAPES[layer["name"]][1:])


def test_the_numbers_are_those_of_the_saved_model(fitserve: Fitserve, run_id: str, tmp_path: Path) -> None:
    shown = weights_of(fitserve, run_id, max_values=2000)
    command = [sys.executable, "-c", SHOW_SAVED, str(download(fitserve, run_id, "model.keras", tmp_path))]
    saved = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    assert [[layer["name"], [weight["values"] for weight in layer["weights"]]] for layer in shown] == saved
    assert any(shown[0]["weights"][1]["values"]), "the biases have moved away from 0"


def test_the_numbers_are_those_of_the_file(fitserve: Fitserve, run_id: str, tmp_path: Path) -> None:
    with np.load(download(fitserve, run_id, "weights.npz", tmp_path), allow_pickle=False) as file:
        for layer in weights_of(fitserve, run_id, max_values=2000):
            for weight in layer["weights"]:
                values = file[f"{layer['name']}/{weight['name']}"]
                assert weight["values"] == values.tolist()
                assert (weight["dtype"], weight["count"]) == ("float32", values.size)
                assert (weight["min"], weight["max"]) == (values.min(), values.max())
                expected = (values.mean(dtype=np.float64), values.std(dtype=np.float64))
                assert (weight["mean"], weight["std"]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_what_has_too_many_numbers_is_shown_without_them(fitserve: Fitserve, run_id: str) -> None:
    first, second, _ = weights_of(fitserve, run_id)
    kernel, bias = first["weights"]
    assert (kernel["count"], kernel["values"], kernel["is_truncated"]) == (1600, None, True)
    assert kernel["min"] < kernel["mean"] < kernel["max"]
    assert kernel["std"] > 0
    assert (len(bias["values"]), bias["is_truncated"]) == (25, False)
    assert np.shape(second["weights"][0]["values"]) == (25, 15)


def test_one_layer_can_be_asked_for(fitserve: Fitserve, run_id: str) -> None:
    (layer,) = weights_of(fitserve, run_id, layer="layer1", max_values=1600)
    assert layer["name"] == "layer1"
    assert np.shape(layer["weights"][0]["values"]) == (64, 25)


def test_an_unknown_layer_is_refused_with_the_known_ones(fitserve: Fitserve, run_id: str) -> None:
    problem = refused(ask(fitserve, run_id, layer="layer4"), 422)
    assert "no layer 'layer4'" in problem["detail"]
    (error,) = problem["errors"]
    assert (error["pointer"], error["received"]) == ("?layer", "layer4")
    assert error["expected"] == "one of 'layer1', 'layer2', 'layer3'"


@pytest.mark.parametrize("max_values", ["0", "-1", "100001", "many", "1.5", "nan"])
def test_a_bad_number_of_values_is_refused(fitserve: Fitserve, run_id: str, max_values: str) -> None:
    problem = refused(ask(fitserve, run_id, max_values=max_values), 422)
    assert [error["pointer"] for error in problem["errors"]] == ["?max_values"]


def test_the_same_seed_gives_the_same_file_of_weights(fitserve: Fitserve, run_id: str) -> None:
    run = fitserve.run(run_id)
    again = fitserve.start(run["model"], run["dataset"], SHORT_FIT, publish=False)
    fitserve.succeeded(again)

    def sha256(run_id: str) -> str:
        files = accepted(fitserve.http.get(f"/api/runs/{run_id}/artifacts"))["items"]
        (found,) = (file["sha256"] for file in files if file["name"] == "weights.npz")
        return str(found)

    assert sha256(again) == sha256(run_id)


def test_a_run_that_has_not_ended_has_no_weights_yet(fitserve: Fitserve, busy_slot: str) -> None:
    assert "is running" in refused(ask(fitserve, busy_slot), 409)["detail"]
    queued = fitserve.start_digits(SHORT_FIT)
    assert "is queued" in refused(ask(fitserve, queued), 409)["detail"]
    fitserve.cancel(queued)
    assert "'keep' was 'none'" in refused(ask(fitserve, queued), 404)["detail"]


def test_a_cancelled_run_shows_what_it_was_asked_to_keep(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(ENDLESS_FIT, publish=False)
    fitserve.wait_for_epoch(run_id, 1)
    fitserve.cancel(run_id, keep="last")
    assert fitserve.ended(run_id)["state"] == "cancelled"
    assert [layer["name"] for layer in weights_of(fitserve, run_id)] == list(SHAPES)


def test_a_failed_run_and_an_unknown_run_have_no_weights(fitserve: Fitserve) -> None:
    layers = [{"type": "Dense", "units": 8, "activation": "softmax"}]
    run_id = fitserve.start(fitserve.create_model(layers), fitserve.upload_digits(), SHORT_FIT)
    assert fitserve.ended(run_id)["state"] == "failed"
    assert "has failed (bad_data)" in refused(ask(fitserve, run_id), 404)["detail"]
    refused(ask(fitserve, "run_unknown"), 404)
