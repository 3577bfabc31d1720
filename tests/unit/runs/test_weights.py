"""Reading a file of weights for the wire, without Keras."""

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

from service.errors import InvalidInput
from service.runs.weight_schemas import RunWeights, WeightRead
from service.runs.weights import MAX_TOTAL_VALUES, Wanted, as_json, read_layers
from service.spec.weights import DOCUMENT, LayerSummary, WeightSummary, entry_name

Array = np.ndarray[Any, Any]


def write(folder: Path, **layers: dict[str, Array]) -> Path:
    """A file of weights, of which the statistics are made up."""
    numbers = dict.fromkeys(("min", "max", "mean", "std"), 0.25)
    document = [
        LayerSummary(
            name=layer,
            type="Dense",
            weights=[
                WeightSummary(name=name, shape=list(w.shape), dtype=str(w.dtype), count=w.size, **numbers)
                for name, w in weights.items()
            ],
        )
        for layer, weights in layers.items()
    ]
    entries: dict[str, Any] = {entry_name(layer, name): w for layer, weights in layers.items() for name, w in weights.items()}
    np.savez(folder / "weights.npz", **entries, **{DOCUMENT: np.frombuffer(msgspec.json.encode(document), np.uint8)})
    return folder / "weights.npz"


def answer(path: Path, layer: str | None = None, max_values: int = 1000) -> list[dict[str, Any]]:
    """The layers as a client reads them."""
    layers: list[dict[str, Any]] = orjson.loads(
        as_json(RunWeights(run="run_1", layers=read_layers(path, Wanted(layer, max_values))))
    )["layers"]
    return layers


def only(path: Path, max_values: int = 1000) -> dict[str, Any]:
    """The only weight of the only layer."""
    (layer,) = answer(path, max_values=max_values)
    (weight,) = layer["weights"]
    return dict(weight)


def test_every_number_is_exactly_that_of_the_file(tmp_path):
    kernel = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    weight = only(write(tmp_path, layer1={"kernel": kernel}))
    assert weight["values"] == kernel.tolist()
    assert (weight["shape"], weight["dtype"], weight["count"]) == ([3, 4, 5], "float32", 60)
    assert (weight["min"], weight["max"], weight["mean"], weight["std"]) == (0.25, 0.25, 0.25, 0.25)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int64", "bool"])
def test_numbers_of_every_type_are_shown(tmp_path, dtype):
    values = np.array([[0, 1], [1, 0]], dtype)
    assert only(write(tmp_path, layer1={"kernel": values}))["values"] == values.tolist()


def test_what_is_not_finite_is_null(tmp_path):
    values = np.array([[1, math.nan], [math.inf, -math.inf]], np.float32)
    assert only(write(tmp_path, layer1={"kernel": values}))["values"] == [[1.0, None], [None, None]]


@pytest.mark.parametrize(
    ("value", "shown"), [(np.int64(7), 7), (np.float32(0.1), float(np.float32(0.1))), (np.float32(math.nan), None)]
)
def test_a_number_without_an_axis_is_shown_as_a_number(tmp_path, value, shown):
    weight = only(write(tmp_path, layer1={"count": np.array(value)}))
    assert (weight["shape"], weight["values"], weight["is_truncated"]) == ([], shown, False)


def test_an_empty_weight_is_shown_as_an_empty_list(tmp_path):
    weight = only(write(tmp_path, layer1={"kernel": np.zeros((0, 3), np.float32)}))
    assert (weight["values"], weight["is_truncated"]) == ([], False)


def test_a_weight_is_shown_whole_or_not_at_all(tmp_path):
    path = write(tmp_path, layer1={"kernel": np.zeros((2, 3))})
    assert only(path, max_values=6)["is_truncated"] is False
    weight = only(path, max_values=5)
    assert (weight["values"], weight["is_truncated"], weight["mean"]) == (None, True, 0.25)


def test_w_and_b_are_named_so_and_nothing_else_is(tmp_path):
    names = ("kernel", "bias", "cell/kernel", "cell/bias", "recurrent_kernel", "gamma", "kernel_1")
    (layer,) = answer(write(tmp_path, layer1={name: np.ones(1) for name in names}))
    assert [weight["symbol"] for weight in layer["weights"]] == ["W", "b", "W", "b", None, None, None]


def test_all_numbers_together_are_bounded(tmp_path):
    most = 100_000
    fitting = MAX_TOTAL_VALUES // most
    layers = {f"layer{number}": {"kernel": np.zeros(most, np.int8)} for number in range(fitting + 2)}
    path = write(tmp_path, **layers)
    weights = [weight for layer in answer(path, max_values=most) for weight in layer["weights"]]
    assert [weight["is_truncated"] for weight in weights] == [False] * fitting + [True] * 2
    (last,) = answer(path, layer=f"layer{fitting + 1}", max_values=most)
    assert last["weights"][0]["is_truncated"] is False


def test_one_layer_can_be_asked_for(tmp_path):
    path = write(tmp_path, layer1={"kernel": np.ones(1)}, layer2={})
    assert [layer["name"] for layer in answer(path)] == ["layer1", "layer2"]
    assert answer(path, layer="layer2") == [{"name": "layer2", "type": "Dense", "weights": []}]


def test_an_unknown_layer_is_refused_with_the_known_ones(tmp_path):
    path = write(tmp_path, first={}, last={})
    with pytest.raises(InvalidInput) as caught:
        read_layers(path, Wanted("lasst", 10))
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.received, problem.expected) == ("?layer", "lasst", "one of 'first', 'last'")
    assert problem.fix == "Did you mean 'last'?"
    with pytest.raises(InvalidInput, match=r"no layer 'x'. Known names: first, last\."):
        read_layers(path, Wanted("x", 10))


def test_what_is_not_shown_is_not_read(tmp_path):
    path = write(tmp_path, large={"kernel": np.full(5000, 7, np.int8)}, small={"bias": np.ones(2)})
    content = path.read_bytes()
    assert content.count(b"\7" * 5000) == 1
    path.write_bytes(content.replace(b"\7" * 5000, b"\0" * 5000))  # which its checksum forbids to read
    with pytest.raises(Exception, match="Bad CRC-32"):
        read_layers(path, Wanted("large", 5000))
    large, small = answer(path)
    assert (large["weights"][0]["values"], small["weights"][0]["values"]) == (None, [1.0, 1.0])


def test_the_example_has_the_statistics_of_its_numbers():
    (example,) = RunWeights.model_config["json_schema_extra"]["examples"]
    for weight in map(WeightRead.model_validate, example["layers"][0]["weights"]):
        values = np.array(weight.values)
        assert (weight.shape, weight.count) == (list(values.shape), values.size)
        assert (weight.min, weight.max, weight.mean) == (values.min(), values.max(), values.mean())
        assert weight.std == pytest.approx(values.std())
