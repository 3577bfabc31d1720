"""Real tables from file to prediction, beside a plain scikit-learn model on the same rows."""

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_linnerud, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.acceptance.client import Fitserve, accepted
from tests.acceptance.running import EMBEDDED_ONLY

pytestmark = EMBEDDED_ONLY

TARGET = "truth"
MARGIN = 0.04
"""How much less accuracy, or R², than scikit-learn's linear model is let pass."""
ADAM = {"type": "Adam", "learning_rate": 0.01}


@dataclass(frozen=True)
class Table:
    """A table of numbers, split in a fixed way."""

    x: np.ndarray
    y: np.ndarray

    @property
    def parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Four fifths to learn from, and the rest."""
        order = np.random.default_rng(0).permutation(len(self.x))
        cut = len(order) * 4 // 5
        return [(self.x[rows], self.y[rows]) for rows in (order[:cut], order[cut:])]


def as_csv(x: np.ndarray, y: np.ndarray) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(f"column {place}" for place in range(x.shape[1])), TARGET])
    writer.writerows([*row, truth] for row, truth in zip(x.tolist(), y.tolist(), strict=True))
    return text.getvalue().encode()


def upload(fitserve: Fitserve, part: tuple[np.ndarray, np.ndarray]) -> str:
    files = {"file": ("table.csv", as_csv(*part), "text/csv")}
    return str(accepted(fitserve.http.post("/api/datasets", files=files, data={"target": TARGET}), 201)["id"])


def fitted(fitserve: Fitserve, layers: list[dict[str, Any]], loss: str, table: Table) -> tuple[dict[str, Any], list[Any]]:
    """The scores of the held-out rows, and what predicting the same rows answers."""
    train, test = (upload(fitserve, part) for part in table.parts)
    model = fitserve.create_model(layers, {"optimizer": ADAM, "loss": loss})
    run = fitserve.succeeded(fitserve.start(model, train, {"epochs": 60, "batch_size": 16}, test_dataset=test, seed=1))
    scores = accepted(fitserve.http.get(f"/api/runs/{run['id']}/evaluation"))["test"]
    rows = [{f"column {place}": value for place, value in enumerate(row)} for row in table.parts[1][0].tolist()]
    answer = accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": rows}))
    return scores, answer["predictions"]


def labelled(data: Any) -> Table:
    return Table(data.data, np.array(data.target_names)[data.target])


@pytest.mark.parametrize(
    "table",
    [labelled(load_iris()), labelled(load_wine()), labelled(load_breast_cancer()), Table(*load_digits(return_X_y=True))],
    ids=["iris", "wine", "breast cancer", "digits"],
)
def test_classes_are_told_apart_as_well_as_by_logistic_regression(fitserve: Fitserve, table: Table) -> None:
    train, (x, y) = table.parts
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(*train)
    classes = len(np.unique(table.y))
    layers = [{"type": "Dense", "units": 16, "activation": "relu"}, {"type": "Dense", "units": classes, "activation": "softmax"}]
    scores, predictions = fitted(fitserve, layers, "SparseCategoricalCrossentropy", table)
    assert scores["accuracy"] >= accuracy_score(y, plain.predict(x)) - MARGIN
    assert scores["accuracy"] > scores["baseline"]["accuracy"]
    assert np.mean([answer["label"] == truth for answer, truth in zip(predictions, y.tolist(), strict=True)]) == pytest.approx(
        scores["accuracy"]
    )


def test_numbers_are_met_as_well_as_by_linear_regression(fitserve: Fitserve) -> None:
    x, y = load_diabetes(return_X_y=True)
    table = Table(x, (y - y.mean()) / y.std())
    train, (x, y) = table.parts
    scores, predictions = fitted(fitserve, [{"type": "Dense", "units": 1}], "MeanSquaredError", table)
    assert scores["r2"] >= r2_score(y, LinearRegression().fit(*train).predict(x)) - MARGIN
    assert scores["r2"] == pytest.approx(r2_score(y, [answer["value"] for answer in predictions]), abs=1e-4)


def test_several_numbers_are_met_as_well_as_by_linear_regression(fitserve: Fitserve) -> None:
    x, y = (StandardScaler().fit_transform(part) for part in load_linnerud(return_X_y=True))
    dataset = fitserve.upload_json(x=x.tolist(), y=y.tolist())["id"]
    model = fitserve.create_model(
        [{"type": "Dense", "units": 3}], {"optimizer": {"type": "SGD", "learning_rate": 0.1}, "loss": "mse"}
    )
    fitserve.succeeded(fitserve.start(model, dataset, {"epochs": 300, "batch_size": 20}, seed=1))
    answer = accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": x.tolist()}))
    values = np.array([prediction["value"] for prediction in answer["predictions"]])
    assert values == pytest.approx(LinearRegression().fit(x, y).predict(x), abs=0.05)
