"""Data comes as arrays or as a table; both are fitted and answer predictions in their own form."""

import pytest

from tests.acceptance.client import Fitserve, accepted
from tests.acceptance.running import EMBEDDED_ONLY

pytestmark = EMBEDDED_ONLY

XOR_X = [[0, 0], [0, 1], [1, 0], [1, 1]] * 16
XOR_Y = [0, 1, 1, 0] * 16


def test_arrays_are_fitted_like_fit_x_y(fitserve: Fitserve) -> None:
    dataset = fitserve.upload_json(x=XOR_X, y=XOR_Y)
    assert (dataset["kind"], dataset["rows"]) == ("arrays", len(XOR_X))
    layers = [{"type": "Dense", "units": 16, "activation": "tanh"}, {"type": "Dense", "units": 1}]
    model = fitserve.create_model(layers, {"loss": "mse", "optimizer": {"type": "Adam", "learning_rate": 0.05}})
    fitserve.succeeded(fitserve.start(model, dataset["id"], {"epochs": 60, "batch_size": 16}))
    answer = accepted(fitserve.http.post(f"/v1/models/{model}:predict", json={"instances": XOR_X[:4]}))
    assert [row[0] for row in answer["predictions"]] == pytest.approx([0, 1, 1, 0], abs=0.2)


WEATHER = [
    {"wind": "calm" if number == 7 else kind, "temperature": None if number == 3 else temperature + number % 5, "rain": rain}
    for number in range(20)
    for kind, temperature, rain in (("west", 8.0, "yes"), ("east", 24.0, "no"))
]


def test_a_table_has_categories_and_missing_values(fitserve: Fitserve) -> None:
    dataset = fitserve.upload_json(rows=WEATHER, target="rain")
    columns = {column["name"]: column for column in dataset["columns"]}
    assert columns["wind"]["type"] == "category"
    assert columns["temperature"]["nulls"] == 2
    compiled = {"loss": "BinaryCrossentropy", "optimizer": {"type": "Adam", "learning_rate": 0.1}}
    model = fitserve.create_model([{"type": "Dense", "units": 1, "activation": "sigmoid"}], compiled)
    run = fitserve.succeeded(fitserve.start(model, dataset["id"], {"epochs": 30, "batch_size": 8}))
    assert set(run["chosen_features"]) >= {"wind", "temperature"}

    rows = [{"wind": "west", "temperature": None}, {"wind": "east", "temperature": 25.0}]
    answer = accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": rows}))
    assert [prediction["label"] for prediction in answer["predictions"]] == ["yes", "no"]
    assert all(sum(prediction["probabilities"].values()) == pytest.approx(1) for prediction in answer["predictions"])


def test_the_rows_of_a_table_can_be_looked_at(fitserve: Fitserve) -> None:
    dataset = fitserve.upload_json(rows=WEATHER, target="rain")
    page = accepted(fitserve.http.get(f"/api/datasets/{dataset['id']}/rows", params={"page_size": 3}))
    assert page["items"] == WEATHER[:3]
    query = {"page_size": 3, "page_token": page["next_page_token"]}
    assert accepted(fitserve.http.get(f"/api/datasets/{dataset['id']}/rows", params=query))["items"] == WEATHER[3:6]
