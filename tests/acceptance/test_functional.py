"""Models with several inputs and outputs over HTTP: from a raw table, or from arrays, to predictions of every output."""

import io
import json
from typing import Any

import numpy as np
import pytest

from tests.acceptance.client import Document, Fitserve, accepted, refused
from tests.acceptance.running import EMBEDDED_ONLY
from tests.graphs import dense, graph, joined

pytestmark = EMBEDDED_ONLY

FLAT = graph(
    [{"name": "facts"}, {"name": "words"}],
    [
        dense("of_facts", ["facts"], 16, "relu"),
        dense("of_words", ["words"], 4, "relu"),
        joined("Concatenate", "both", "of_facts", "of_words"),
        dense("price", ["both"], 1, None),
        dense("dear", ["both"], 1, "sigmoid"),
    ],
    "price",
    "dear",
)
COMPILE = {
    "optimizer": {"type": "Adam", "learning_rate": 0.02},
    "loss": {"price": "mse", "dear": "binary_crossentropy"},
    "metrics": {"price": "mae", "dear": ["accuracy"]},
    "loss_weights": {"dear": 10.0},
}
FEATURES = {"inputs": {"facts": ["size", "rooms", "city"], "words": "about"}, "columns": {"about": {"type": "text"}}}
TARGET = {"price": "price", "dear": "class"}
CITIES = ["Oslo", "Rome", "Ulm"]
TEXTS = ["bright and quiet", "on a loud street", "old, big garden"]


def flats(count: int, seed: int = 0) -> list[Document]:
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        size, rooms, city, text = random.normal(8, 2), random.integers(1, 6), random.integers(3), random.integers(3)
        price = 2 * size + rooms - 3 * city - 2 * (text == 1) + random.normal(0, 0.3)
        row = {"size": round(size, 2), "rooms": int(rooms), "city": CITIES[city], "about": TEXTS[text]}
        rows.append({**row, "price": round(price, 2), "class": "dear" if price > 16 else "cheap"})
    return rows


def fitted(fitserve: Fitserve, model: str, dataset: str, **body: Any) -> Document:
    answer = fitserve.http.post("/api/runs", json={"model": model, "dataset": dataset, **body})
    return fitserve.succeeded(accepted(answer, 202)["id"])


def predicted(fitserve: Fitserve, model: str, rows: list[Any]) -> Document:
    return accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": rows}))


@pytest.fixture(scope="module")
def model(fitserve: Fitserve) -> str:
    return fitserve.define_model(FLAT, COMPILE)


@pytest.fixture(scope="module")
def dataset(fitserve: Fitserve) -> str:
    return str(fitserve.upload_json(rows=flats(300))["id"])


@pytest.fixture(scope="module")
def run(fitserve: Fitserve, model: str, dataset: str) -> Document:
    fit = {"epochs": 60, "batch_size": 16, "validation_split": 0.2}
    fit["callbacks"] = [{"type": "EarlyStopping", "monitor": "val_dear_accuracy", "mode": "max", "patience": 60}]
    return fitted(fitserve, model, dataset, target=TARGET, features=FEATURES, fit=fit, seed=1)


def test_columns_go_into_the_inputs_and_every_output_learns(fitserve, run):
    assert run["target"] == TARGET
    assert run["chosen_features"]["size"].endswith("for input 'facts'")
    assert run["chosen_features"]["class"].endswith("for output 'dear'")
    scores = accepted(fitserve.http.get(f"/api/runs/{run['id']}/evaluation"))["validation"]
    assert scores["task"] == "several outputs"
    assert scores["outputs"]["price"]["r2"] > 0.9
    assert scores["outputs"]["dear"]["accuracy"] > 0.9
    history = accepted(fitserve.http.get(f"/api/runs/{run['id']}/metrics"))["metrics"]
    assert {"loss", "price_loss", "dear_loss", "price_mean_absolute_error", "val_dear_accuracy"} <= set(history)


def test_raw_rows_are_answered_for_every_output_with_warnings(fitserve, model, run):
    known = {"size": 14, "rooms": 5, "city": "Oslo", "about": "bright"}
    answer = predicted(fitserve, model, [known, {"size": 2, "rooms": 1, "city": "Bonn", "about": None}])
    first, second = (prediction["outputs"] for prediction in answer["predictions"])
    assert first["dear"]["label"] == "dear"
    assert second["dear"]["label"] == "cheap"
    assert first["price"]["value"] > second["price"]["value"]
    assert sum(first["dear"]["probabilities"].values()) == pytest.approx(1)
    assert "'Bonn' was not seen in column 'city'" in answer["warnings"][0]
    assert predicted(fitserve, model, [list(known.values())])["predictions"] == answer["predictions"][:1]


def test_clients_of_tensorflow_serving_get_the_outputs_by_name(fitserve, model, run):
    rows = [{key: value for key, value in row.items() if key not in ("price", "class")} for row in flats(3, seed=5)]
    by_row = accepted(fitserve.http.post(f"/v1/models/{model}:predict", json={"instances": rows}))["predictions"]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    by_column = accepted(fitserve.http.post(f"/v1/models/{model}:predict", json={"inputs": columns}))["outputs"]
    assert [row["price"] for row in by_row] == by_column["price"]
    assert [row["dear"] for row in by_row] == by_column["dear"]


def test_the_version_has_the_schema_of_every_input_and_an_example_that_works(fitserve, model, run):
    version = accepted(fitserve.http.get(f"/api/models/{model}/versions/1"))
    assert version["engine"] == "onnx"
    assert [spec["name"] for spec in version["inputs"]] == ["facts", "words"]
    assert [spec["name"] for spec in version["outputs"]] == ["price", "dear"]
    assert len(predicted(fitserve, model, version["example"]["rows"])["predictions"]) == 2


def test_a_version_is_evaluated_on_another_dataset(fitserve, model, run):
    other = fitserve.upload_json(rows=flats(50, seed=9))["id"]
    body = {"model": model, "version": 1, "dataset": other}
    evaluation = fitserve.succeeded(accepted(fitserve.http.post("/api/evaluations", json=body), 202)["id"])
    scores = accepted(fitserve.http.get(f"/api/runs/{evaluation['id']}/evaluation"))["test"]
    assert scores["outputs"]["price"]["r2"] > 0.8
    assert evaluation["target"] == TARGET


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"target": None}, "/target", "each needs a target"),
        ({"target": "price"}, "/target", "each needs a target"),
        ({"target": {"price": "price"}}, "/target", "what output 'dear' shall predict"),
        ({"target": TARGET | {"x": "size"}}, "/target/x", "no such output"),
        ({"target": TARGET | {"dear": "clas"}}, "/target", "Did you mean 'class'"),
        ({"features": {}}, "/features/inputs", "Nothing says which columns go into the inputs facts, words"),
        ({"features": {"inputs": {"fact": ["size"]}}}, "/features/inputs/fact", "no such input"),
        ({"features": {"inputs": {"facts": ["price"], "words": "about"}}}, "/features/inputs/facts", "beside the targets"),
        ({"fit": {"class_weight": "balanced"}}, "/fit/class_weight", "several outputs"),
        ({"fit": {"split": "stratified", "validation_split": 0.2}}, "/fit/split", "several outputs"),
        ({"fit": {"callbacks": [{"type": "EarlyStopping", "monitor": "dear_accuracy"}]}}, "/fit/callbacks/0/mode", "max"),
        ({"fit": {"callbacks": [{"type": "EarlyStopping", "monitor": "accuracy"}]}}, "/fit/callbacks/0/monitor", "dear_accuracy"),
    ],
)
def test_what_cannot_be_filled_or_learnt_is_refused_before_the_run(fitserve, model, dataset, change, pointer, words):
    body = {"model": model, "dataset": dataset, "target": TARGET, "features": FEATURES} | change
    problems = refused(fitserve.http.post("/api/runs", json=body), 422)["errors"]
    assert any(problem["pointer"] == pointer and words in json.dumps(problem) for problem in problems), problems


def test_arrays_of_several_inputs_are_taken_by_their_names(fitserve):
    random = np.random.default_rng(0)
    left, right = random.normal(size=(200, 4)), random.normal(size=(200, 4))
    definition = graph(
        [{"name": "left"}, {"name": "right"}],
        [
            dense("twin", [["left"], ["right"]], 8, "relu"),
            joined("Subtract", "gap", "twin", "twin:1"),
            dense("further", ["gap"], 1, "sigmoid"),
        ],
        "further",
    )
    model = fitserve.define_model(
        definition, {"optimizer": {"type": "Adam", "learning_rate": 0.02}, "loss": "BinaryCrossentropy"}
    )
    file = io.BytesIO()
    np.savez(file, left=left, right=right, further=(left.sum(axis=1) > right.sum(axis=1)).astype(int))
    upload = fitserve.http.post("/api/datasets", files={"file": ("pairs.npz", file.getvalue())}, data={"target": "further"})
    settings = {"arrays": {"left": {"scale": "standardize"}}}
    run = fitted(fitserve, model, accepted(upload, 201)["id"], fit={"epochs": 40}, features=settings, seed=2)
    assert "standardized" in run["chosen_features"]["left"]
    row = {"left": [1.0] * 4, "right": [-1.0] * 4}
    answers = predicted(fitserve, model, [row, {"left": row["right"], "right": row["left"]}])["predictions"]
    assert [answer["label"] for answer in answers] == [1, 0]
    served = accepted(
        fitserve.http.post(f"/v1/models/{model}:predict", json={"inputs": {"left": [[1] * 4], "right": [[-1] * 4]}})
    )
    assert served["outputs"][0][0] == pytest.approx(answers[0]["probabilities"]["1"], rel=1e-5)
    refusal = refused(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": [{"left": [1, 2, 3, 4]}]}), 422)
    assert refusal["errors"][0]["message"] == "The row has no 'right'."


def test_several_columns_are_one_target(fitserve):
    rows = [
        {"a": row[0], "sum": row[0] + row[1], "b": row[1], "gap": row[0] - row[1]}
        for row in np.random.default_rng(1).normal(size=(150, 2)).tolist()
    ]
    layers = [{"type": "Dense", "units": 8, "activation": "tanh"}, {"type": "Dense", "units": 2}]
    model = fitserve.create_model(layers, {"optimizer": {"type": "Adam", "learning_rate": 0.02}, "loss": "mse"})
    dataset = fitserve.upload_json(rows=rows)["id"]
    fitted(fitserve, model, dataset, target=["sum", "gap"], fit={"epochs": 60}, seed=1)
    (answer,) = predicted(fitserve, model, [{"a": 1.0, "b": 0.5}])["predictions"]
    assert answer["value"] == pytest.approx({"sum": 1.5, "gap": 0.5}, abs=0.3)
