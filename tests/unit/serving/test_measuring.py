"""What an engine costs is measured on real rows, and whether they mind the rows of others."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.serving.engine import OnnxEngine
from service.serving.measuring import MANY_ROWS, Cost, measure
from tests.fakes.versions import graph_bytes, onnx_bytes

Array = np.ndarray[Any, Any]
ROWS = {"x": np.array([[1.0, 2.0], [-3.0, 5.0]], np.float32)}


def engine_of(content: bytes, folder: Path) -> OnnxEngine:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return OnnxEngine(path)


class Computes:
    """An engine that is a function of ``x``, and seems to take as long as is said."""

    def __init__(self, function: Callable[[Array], Array], seconds_of: Callable[[int], float] = lambda rows: 0.0) -> None:
        self._function = function
        self._seconds_of = seconds_of

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
        time.sleep(self._seconds_of(len(inputs["x"])))
        return [self._function(inputs["x"])]


def test_a_model_that_looks_at_each_row_alone_has_equal_rows(tmp_path: Path) -> None:
    engine = engine_of(onnx_bytes([[1.0], [2.0]], outputs=2), tmp_path)

    cost = measure(engine, ROWS, ["y0", "y1"])

    assert cost.has_equal_rows
    assert 0 < cost.first_seconds < 1
    assert cost.next_seconds >= 0


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
def test_a_layer_that_looks_along_the_rows_is_noticed(operator: str, tmp_path: Path) -> None:
    engine = engine_of(graph_bytes([(operator, ["x"], "y")], width=2, axis=0), tmp_path)

    cost = measure(engine, ROWS, ["y"])

    assert not cost.has_equal_rows
    assert not cost.gains_from_batches


def test_a_layer_that_looks_along_the_columns_is_no_such_layer(tmp_path: Path) -> None:
    engine = engine_of(graph_bytes([("Softmax", ["x"], "y")], width=2, axis=1), tmp_path)

    assert measure(engine, ROWS, ["y"]).has_equal_rows


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.cumsum(x, axis=0),
        lambda x: np.cumsum(x[::-1], axis=0)[::-1],
        lambda x: x - x.mean(axis=0),
        lambda x: x.sum(axis=0, keepdims=True),
        lambda x: np.concatenate([x, x]),
    ],
    ids=["rows before", "rows behind", "mean of all rows", "one row for all", "two rows for each"],
)
def test_rows_that_depend_on_others_are_not_equal(function: Callable[[Array], Array]) -> None:
    assert not measure(Computes(function), ROWS, ["y"]).has_equal_rows


def test_nan_is_equal_to_itself() -> None:
    assert measure(Computes(lambda x: x * np.nan), ROWS, ["y"]).has_equal_rows


def test_rows_that_cost_less_together_gain_from_batches() -> None:
    assert measure(Computes(np.copy, lambda rows: 0.02), ROWS, ["y"]).gains_from_batches


def test_a_cost_grows_with_the_rows() -> None:
    cost = Cost(first_seconds=1.0, next_seconds=0.25, has_equal_rows=True)

    assert cost.seconds(1) == 1.0
    assert cost.seconds(MANY_ROWS) == 1.0 + 15 * 0.25
    assert cost.gains_from_batches
    assert not Cost(first_seconds=1.0, next_seconds=1.0, has_equal_rows=True).gains_from_batches
