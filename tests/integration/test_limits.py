"""Limits that are settings: a request over each of them is refused and says what is allowed."""

from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.main import Application, create_app
from service.predictions.metrics import PredictionMetrics
from service.settings import Settings

SMALL: dict[str, Any] = {
    "max_epochs": 10,
    "max_run_timeout_seconds": 60.0,
    "max_layers": 2,
    "max_json_depth": 16,
    "max_json_values": 1000,
    "max_page_size": 5,
    "sweep_seconds": 3600.0,
}
LAYER = {"type": "Dense", "units": 1}
RUN: dict[str, Any] = {"model": "m", "dataset": "ds_1", "fit": {"epochs": 1}}
COMPILE = {"optimizer": "sgd", "loss": "mse"}


@pytest.fixture
def app(settings: Settings) -> Application:
    """The API with small limits."""
    return create_app(settings.model_copy(update=SMALL), PredictionMetrics(CollectorRegistry()))


def model(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"name": "m", "definition": {"layers": list(layers)}, "compile": COMPILE}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


def errors_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 422, answer.text
    found: list[dict[str, Any]] = answer.json()["errors"]
    return found


@pytest.mark.parametrize(
    ("path", "body", "pointer", "expected"),
    [
        ("/api/models", model(LAYER, LAYER, LAYER), "/definition/layers", "at most 2"),
        ("/api/runs", RUN | {"fit": {"epochs": 11}}, "/fit/epochs", "at most 10"),
        (
            "/api/runs",
            {"model": "m", "dataset": "ds_1", "fit": {"epochs": 1}, "timeout_seconds": 61},
            "/timeout_seconds",
            "at most 60",
        ),
        ("/api/evaluations", {"model": "m", "dataset": "ds_1", "timeout_seconds": 61}, "/timeout_seconds", "at most 60"),
        ("/api/models", {"name": nested(16)}, "", "a depth of at most 16"),
        ("/api/datasets", {"name": "d", "rows": [{"a": nested(16)}]}, "", "a depth of at most 16"),
        ("/api/models/m:predict", {"rows": nested(16)}, "", "a depth of at most 16"),
        ("/api/models", model(LAYER) | {"description": [0] * 1000}, "", "at most 1000"),
    ],
    ids=["layers", "epochs", "time", "time of an evaluation", "depth", "depth of a dataset", "depth of a prediction", "values"],
)
def test_a_body_over_a_limit_is_refused(http: httpx.Client, path: str, body: Any, pointer: str, expected: str) -> None:
    [error] = errors_of(http.post(path, json=body))
    assert (error["pointer"], error["expected"]) == (pointer, expected)


@pytest.mark.parametrize("noun", ["models", "datasets/ds_1/rows"])
def test_a_page_over_the_limit_is_refused(http: httpx.Client, noun: str) -> None:
    [error] = errors_of(http.get(f"/api/{noun}?page_size=6"))
    assert (error["pointer"], error["expected"]) == ("?page_size", "at most 5")


def test_a_page_is_no_larger_than_the_limit_where_no_size_is_asked_for(http: httpx.Client) -> None:
    for number in range(6):
        assert http.post("/api/models", json=model(LAYER) | {"name": f"m{number}"}).status_code == 201
    assert len(http.get("/api/models").json()["items"]) == 5
