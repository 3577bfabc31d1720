"""Layers that measure the training rows: where they may stand, and what lies before them."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.spec.adapting import adapted_layers
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.model_script import keras_script

SCALE: dict[str, Any] = {"type": "Normalization", "name": "scale"}
LAST = {"type": "Dense", "units": 1, "name": "last"}
KNOWN = {"mean": 1.0, "variance": 2.0}
INPUTS = [{"name": "a", "shape": [4]}, {"name": "b", "shape": [4]}]


def row(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"layers": [*layers, LAST]}


def graph(*layers: dict[str, Any], last: str = "scale") -> dict[str, Any]:
    return {"inputs": INPUTS, "layers": [*layers, LAST | {"inbound": [last]}], "outputs": ["last"]}


@pytest.mark.parametrize("given", [{"mean": 1.0}, {"variance": [1.0, 2.0]}, {"mean": 1.0, "variance": None}])
def test_half_of_what_a_normalization_needs_is_refused(given):
    with pytest.raises(ValidationError, match="Give both 'mean' and 'variance', or leave out both"):
        Definition.model_validate(row(SCALE | given))


@pytest.mark.parametrize(
    "wrapped",
    [
        {"type": "TimeDistributed", "layer": SCALE},
        {"type": "Pipeline", "layers": [{"type": "Rescaling", "scale": 2.0}, SCALE]},
        {"type": "TimeDistributed", "layer": {"type": "Sequential", "layers": [SCALE]}},
        {"type": "Sequential", "layers": [{"type": "TimeDistributed", "layer": SCALE}]},
    ],
)
def test_a_layer_inside_a_wrapper_cannot_measure_rows(wrapped):
    with pytest.raises(ValidationError, match=r"'scale' inside '\w+' cannot be measured") as refusal:
        Definition.model_validate(row({"type": "Flatten"}, wrapped))
    assert refusal.value.errors()[0]["loc"] == ("layers", 1)


def test_a_layer_inside_a_wrapper_may_be_given_its_numbers():
    assert adapted_layers(Definition.model_validate(row({"type": "TimeDistributed", "layer": SCALE | KNOWN}))) == []


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (SCALE | {"inbound": [["a"], ["b"]]}, "It is called 2 times"),
        (
            {"type": "Sequential", "name": "twin", "layers": [SCALE], "inbound": [["a"], ["b"]]},
            "'twin', which it is part of, is called 2 times",
        ),
    ],
)
def test_a_layer_that_is_called_twice_cannot_tell_what_to_measure(layer, words):
    name = layer["name"]
    document = graph(layer, {"type": "Add", "name": "sum", "inbound": [name, f"{name}:1"]}, last="sum")
    with pytest.raises(ValidationError, match=words) as refusal:
        Definition.model_validate(document)
    assert refusal.value.errors()[0]["loc"] == ("layers", 0)
    assert "'scale'" in str(refusal.value)


def test_layers_are_found_in_the_order_of_computing_with_what_lies_before_them():
    inner = {
        "type": "Sequential",
        "name": "inner",
        "inbound": ["both"],
        "layers": [SCALE, {"type": "Flatten"}, SCALE | {"name": "again"}],
    }
    document = graph(
        LAST | {"name": "used", "inbound": ["inner"]},
        {"type": "Concatenate", "name": "both", "inbound": ["first", "b"]},
        inner,
        SCALE | {"name": "first", "inbound": ["a"]},
        last="used",
    )
    found = adapted_layers(Definition.model_validate(document))
    assert [adapted.path[-1].layer.name for adapted in found] == ["first", "scale", "again"]
    assert [adapted.inputs for adapted in found] == [(0,), (0, 1), (0, 1)]
    assert [len(adapted.stages) for adapted in found] == [0, 1, 2]


def test_the_script_of_a_model_says_what_is_to_be_measured():
    compiled = CompileSpec.model_validate({"optimizer": "adam", "loss": "mse"})
    flat = {"type": "Flatten"}
    script = keras_script("m", Definition.model_validate(row(flat, SCALE)), compiled, [(2, 2)])
    assert "# before = keras.Sequential(model.layers[:1])\n# model.layers[1].adapt(before(X, training=False))\n" in script
    document = graph(SCALE | {"inbound": ["b"]}, {"type": "Add", "name": "sum", "inbound": ["a", "scale"]}, last="sum")
    assert '# model.get_layer("scale").adapt(X["b"])\n' in keras_script(
        "m", Definition.model_validate(document), compiled, [(4,), (4,)]
    )
    assert "adapt" not in keras_script("m", Definition.model_validate(row(SCALE | KNOWN)), compiled, [(4,)])
