"""The arguments of ``fit`` and the scores of its result, over HTTP with real fits."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from tests.acceptance.client import Document, Fitserve, accepted, refused
from tests.acceptance.running import EMBEDDED_ONLY

pytestmark = EMBEDDED_ONLY

LAYERS = [{"type": "Dense", "units": 6, "activation": "relu"}, {"type": "Dropout", "rate": 0.2}, {"type": "Dense", "units": 1}]
LOGITS = {
    "optimizer": {"type": "AdamW", "learning_rate": 0.05, "use_ema": True},
    "loss": {"type": "BinaryCrossentropy", "from_logits": True},
    "metrics": [{"type": "BinaryAccuracy", "threshold": 0.0}],
}


def rows(count: int, seed: int) -> list[Document]:
    """Two numbers, whether their sum is positive, and a weight."""
    numbers = np.random.default_rng(seed).normal(size=(count, 2)).round(3).tolist()
    return [{"a": a, "b": b, "weight": 1.0 + (a > 0), "positive": "yes" if a + b > 0 else "no"} for a, b in numbers]


@pytest.fixture
def dataset(fitserve: Fitserve) -> str:
    return str(fitserve.upload_json(rows=rows(120, 0), target="positive")["id"])


@pytest.fixture
def others(fitserve: Fitserve) -> list[str]:
    """A dataset to validate with and one to test with."""
    return [str(fitserve.upload_json(rows=rows(40, seed), target="positive")["id"]) for seed in (1, 2)]


@pytest.fixture
def model(fitserve: Fitserve) -> str:
    return fitserve.create_model(LAYERS, LOGITS)


def fitted(fitserve: Fitserve, model: str, dataset: str, **body: Any) -> Document:
    answer = fitserve.http.post("/api/runs", json={"model": model, "dataset": dataset, **body})
    return fitserve.succeeded(accepted(answer, 202)["id"])


def read(fitserve: Fitserve, path: str, **query: Any) -> Document:
    return accepted(fitserve.http.get(f"/api/{path}", params=query))


def weights(fitserve: Fitserve, run: Document) -> list[Document]:
    layers: list[Document] = read(fitserve, f"runs/{run['id']}/weights", max_values=10_000)["layers"]
    return layers


def test_callbacks_and_other_datasets_take_part_in_a_fit(fitserve, model, dataset, others):
    validation, test = others
    callbacks = [
        {"type": "EarlyStopping", "patience": 3, "restore_best_weights": True},
        {"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.5},
        "ModelCheckpoint",
        {"type": "TensorBoard", "histogram_freq": 2},
    ]
    fit = {"epochs": 200, "validation_dataset": validation, "class_weight": "balanced", "callbacks": callbacks}
    run = fitted(fitserve, model, dataset, fit=fit, test_dataset=test, seed=3)
    history = read(fitserve, f"runs/{run['id']}/metrics")
    assert len(history["epoch"]) < 200, "it was stopped early"
    rates = history["metrics"]["learning_rate"]
    assert rates[-1] < rates[0]
    assert "weights no: " in run["chosen_features"]["positive"]
    scores = read(fitserve, f"runs/{run['id']}/evaluation")
    assert (scores["validation"]["rows"], scores["test"]["rows"]) == (40, 40)
    for part in scores.values():
        assert part["classes"] == ["no", "yes"]
        assert part["accuracy"] > part["baseline"]["accuracy"]
    assert scores["validation"]["metrics"]["loss"] == pytest.approx(min(history["metrics"]["val_loss"]), rel=1e-5)
    names = {file["name"] for file in read(fitserve, f"runs/{run['id']}/artifacts")["items"]}
    assert names >= {"best.keras", "tensorboard.zip", "encoded.npz", "state.npz", "evaluation.json"}
    logs = zipfile.ZipFile(io.BytesIO(fitserve.http.get(f"/api/runs/{run['id']}/artifacts/tensorboard.zip").content))
    assert {name.split("/")[0] for name in logs.namelist() if "tfevents" in name} == {"train", "validation"}


def test_a_continued_fit_is_a_longer_fit_bit_for_bit(fitserve, model, dataset):
    fit = {"validation_split": 0.25, "split": "stratified", "batch_size": 8}
    short = fitted(fitserve, model, dataset, fit=fit | {"epochs": 4}, seed=11)
    longer = fitted(fitserve, model, dataset, fit=fit | {"epochs": 7}, continue_from={"version": short["version"]})
    whole = fitted(fitserve, model, dataset, fit=fit | {"epochs": 7}, seed=11)
    assert weights(fitserve, longer) == weights(fitserve, whole) != weights(fitserve, short)
    assert (longer["exact"], longer["inexact_reason"], longer["seed"]) == (True, None, 11)
    assert read(fitserve, f"runs/{longer['id']}/metrics")["epoch"] == [5, 6, 7]
    other = fitted(fitserve, model, dataset, fit=fit | {"epochs": 7, "batch_size": 9}, continue_from={"run": short["id"]})
    assert not other["exact"]
    assert "batch_size" in other["inexact_reason"]


def test_a_fit_starts_with_the_weights_of_another(fitserve, model, dataset):
    first = fitted(fitserve, model, dataset, fit={"epochs": 30})
    warm = fitted(
        fitserve, model, dataset, fit={"epochs": 1, "batch_size": 120}, continue_from={"run": first["id"], "take": "weights"}
    )
    cold = fitted(fitserve, model, dataset, fit={"epochs": 1, "batch_size": 120})
    assert warm["metrics"]["loss"] < cold["metrics"]["loss"]
    assert warm["continues"] == {"run": first["id"], "version": None, "take": "weights"}


def test_an_evaluation_of_a_version_gives_the_scores_of_its_run(fitserve, model, dataset, others):
    test = others[1]
    run = fitted(fitserve, model, dataset, fit={"epochs": 5, "sample_weight": "weight"}, test_dataset=test)
    body = {"model": model, "version": run["version"], "dataset": test, "sample_weight": "weight"}
    evaluation = accepted(fitserve.http.post("/api/evaluations", json=body), 202)
    ended = fitserve.succeeded(evaluation["id"])
    assert (ended["kind"], ended["evaluates"], ended["version"]) == ("evaluate", run["version"], None)
    by_run, by_itself = (read(fitserve, f"runs/{name}/evaluation")["test"] for name in (run["id"], ended["id"]))
    assert by_itself == by_run
    assert ended["metrics"] == {name: value for name, value in by_run["metrics"].items() if value is not None}


def test_a_target_beyond_the_last_activation_fails_with_the_mend(fitserve, dataset):
    model = fitserve.create_model(
        [{"type": "Dense", "units": 1, "activation": "sigmoid", "name": "out"}], {"optimizer": "sgd", "loss": "mse"}
    )
    run_id = accepted(fitserve.http.post("/api/runs", json={"model": model, "dataset": dataset, "target": "weight"}), 202)["id"]
    failure = fitserve.ended(run_id)["failure"]
    assert failure["type"] == "bad_data"
    assert "'weight'" in failure["message"]
    assert "'out'" in failure["message"]
    assert failure["hint"]


def test_a_layer_measures_the_training_rows_and_is_served(fitserve):
    """The rows are those of the arrays as they were sent, far from 0 and of very different sizes."""
    noise = np.random.default_rng(0)
    x = (noise.normal(size=(100, 2)) * [1000.0, 0.01] + [5000.0, -3.0]).round(4)
    y = (x[:, 0] - 5000) / 1000 + 100 * (x[:, 1] + 3)
    dataset = fitserve.upload_json(arrays={"x": x.tolist(), "y": y.tolist()}, target="y")["id"]
    scale = {"type": "Normalization", "name": "scale"}
    compiled = {"optimizer": {"type": "Adam", "learning_rate": 0.1}, "loss": {"type": "MeanSquaredError"}}
    model = fitserve.create_model([scale, {"type": "Dense", "units": 1}], compiled)
    run = fitted(fitserve, model, dataset, fit={"epochs": 60, "validation_split": 0.2, "split": "last"})
    assert run["metrics"]["val_loss"] < 0.05
    learnt = {weight["name"]: weight["values"] for layer in weights(fitserve, run)[:1] for weight in layer["weights"]}
    assert learnt["mean"] == pytest.approx(x[:80].mean(axis=0), rel=1e-5)
    assert learnt["variance"] == pytest.approx(x[:80].var(axis=0), rel=1e-3)
    assert read(fitserve, f"models/{model}/versions/{run['version']}")["engine"] == "onnx"
    answers = accepted(fitserve.http.post(f"/v1/models/{model}:predict", json={"instances": x[80:].tolist()}))["predictions"]
    assert np.ravel(answers) == pytest.approx(y[80:], abs=1.0)
    assert "model.layers[0].adapt(x)" in fitserve.http.get(f"/api/runs/{run['id']}/code").text


def test_a_layer_that_cannot_tell_what_to_measure_is_refused_by_its_name(fitserve):
    scale = {"type": "Normalization", "name": "scale"}
    definition = {"layers": [{"type": "TimeDistributed", "layer": scale}, {"type": "Flatten"}, {"type": "Dense", "units": 1}]}
    answer = accepted(fitserve.http.post("/api/models:check", json={"definition": definition}))
    assert not answer["ok"]
    problem = refused(fitserve.http.post("/api/models", json={"name": "m", "definition": definition, "compile": LOGITS}), 422)
    for entry in (answer["errors"][0], problem["errors"][0]):
        assert entry["pointer"] == "/definition/layers/0"
        assert "'scale' inside 'TimeDistributed' cannot be measured" in entry["message"]
