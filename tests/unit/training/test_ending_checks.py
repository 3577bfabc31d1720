"""An output whose numbers are not what its loss or its target takes them for is refused, with the layer and the mend."""

from typing import Any

import numpy as np
import pytest

from service.errors import InvalidInput
from tests.unit.training.checking import (
    BINARY,
    CATEGORICAL,
    IMAGES,
    ROWS,
    SPARSE,
    SQUARED,
    check,
    dense,
    logits,
)

# Outputs and losses


@pytest.mark.parametrize(
    ("layers", "loss", "words"),
    [
        ([dense(1, "softmax")], BINARY, "'last' is a softmax of a single unit, which always answers 1. Use sigmoid"),
        ([dense(1, "softmax")], SQUARED, "'last' is a softmax of a single unit"),
        ([dense(1, "sigmoid")], logits(BINARY), "from_logits=true, but layer 'last' ends with sigmoid"),
        ([dense(3, "softmax")], logits(SPARSE), "from_logits=true, but layer 'last' ends with softmax"),
        ([dense(3, "softmax")], logits(CATEGORICAL), "from_logits=true, but layer 'last' ends with softmax"),
        ([dense(1)], BINARY, "wants probabilities, but layer 'last' ends with linear. Give it the activation sigmoid"),
        ([dense(1, "relu")], BINARY, "ends with relu. Give it the activation sigmoid, or set from_logits"),
        ([dense(1, "tanh")], BINARY, "ends with tanh"),
        ([dense(3)], SPARSE, "ends with linear. Give it the activation softmax"),
        ([dense(3, "relu")], CATEGORICAL, "ends with relu. Give it the activation softmax"),
        ([dense(3, "log_softmax")], SPARSE, "ends with log_softmax"),
        ([dense(3, "sigmoid")], SPARSE, "add up to 1, but layer 'last' ends with sigmoid"),
        ([dense(3, "sigmoid")], CATEGORICAL, "add up to 1, but layer 'last' ends with sigmoid"),
        ([dense(1, "relu")], logits(BINARY), "one sign only, so it always answers the same class"),
        ([dense(1, "log_sigmoid")], logits(BINARY), "one sign only"),
        ([dense(3), {"type": "ReLU", "name": "end"}], SPARSE, "layer 'end' ends with relu"),
        ([dense(3), {"type": "BatchNormalization", "name": "end"}], SPARSE, "layer 'end' ends with linear"),
        ([dense(3), {"type": "Dropout", "rate": 0.5}], SPARSE, "layer 'last' ends with linear"),
        ([dense(3), {"type": "Softmax", "axis": 0, "name": "end"}], SPARSE, "'end' has axis=0.*over the rows of a batch"),
        ([dense(3), {"type": "Softmax", "axis": -2, "name": "end"}], SPARSE, "'end' has axis=-2"),
    ],
)
def test_an_output_that_the_loss_misreads_is_refused_at_its_layer(layers, loss, words):
    y = np.linspace(0, 1, ROWS)[:, None] if loss == SQUARED else None
    with pytest.raises(InvalidInput, match=words) as caught:
        check(layers, loss, y)
    named = [place for place, layer in enumerate(layers) if f"'{layer.get('name')}'" in caught.value.message]
    assert caught.value.problems[0].pointer == f"/definition/layers/{named[0]}"
    assert caught.value.problems[0].fix


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        ([dense(1, "sigmoid")], BINARY),
        ([dense(1, "hard_sigmoid")], BINARY),
        ([dense(3, "softmax")], SPARSE),
        ([dense(3, "sparsemax")], CATEGORICAL),
        ([dense(3), {"type": "Softmax"}], CATEGORICAL),
        ([dense(3), {"type": "Softmax", "axis": 1}], CATEGORICAL),
        ([dense(3), {"type": "Activation", "activation": "softmax"}], SPARSE),
        ([dense(3, "softmax"), {"type": "Flatten"}], SPARSE),
        ([dense(1)], logits(BINARY)),
        ([dense(1, "tanh")], logits(BINARY)),
        ([dense(3)], logits(SPARSE)),
        ([dense(3, "relu")], logits(SPARSE)),
        ([dense(3, "log_softmax")], logits(CATEGORICAL)),
    ],
)
def test_an_output_that_the_loss_reads_as_meant_is_let_through(layers, loss):
    check(layers, loss)


@pytest.mark.parametrize(
    ("layers", "low", "high", "words"),
    [
        ([dense(1, "sigmoid")], 0, 1.5, "goes from 0 to 1.5, but layer 'last' ends with sigmoid, which answers only from 0 to 1"),
        ([dense(1, "sigmoid")], -0.1, 1, "goes from -0.1 to 1"),
        ([dense(1, "tanh")], -1, 1.01, "ends with tanh"),
        ([dense(1, "relu")], -0.5, 9, "ends with relu, which answers only from 0 to inf"),
        ([dense(1, "relu6")], 0, 9, "answers only from 0 to 6"),
        ([dense(1, "softplus")], -5, 9, "ends with softplus"),
        ([dense(1, "exponential")], -5, 9, "ends with exponential"),
        ([dense(1), {"type": "ReLU", "max_value": 2.0}], 0, 3, "ends with relu, which answers only from 0 to 2"),
        ([dense(1, "log_sigmoid")], -5, 1, "answers only from -inf to 0"),
    ],
)
def test_numbers_that_the_last_activation_cannot_reach_are_refused(layers, low, high, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        check(layers, SQUARED, np.linspace(low, high, ROWS)[:, None])
    assert caught.value.problems[0].fix == "Leave the last activation out, or scale the target."


@pytest.mark.parametrize(
    ("layers", "low", "high"),
    [
        ([dense(1, "sigmoid")], 0, 1),
        ([dense(1, "tanh")], -1, 1),
        ([dense(1, "relu")], 0, 1e6),
        ([dense(1, "exponential")], 0.1, 1e6),
        ([dense(1, "linear")], -1e6, 1e6),
        ([dense(1, "leaky_relu")], -1, 1),
        ([dense(1, "tanh"), {"type": "BatchNormalization"}], -5, 5),
        ([dense(1), {"type": "ReLU", "negative_slope": 0.1}], -5, 5),
        ([dense(1, "sigmoid"), {"type": "LeakyReLU"}], -5, 5),
    ],
)
def test_numbers_that_the_last_activation_reaches_are_let_through(layers, low, high):
    check(layers, SQUARED, np.linspace(low, high, ROWS)[:, None])


# Shapes


@pytest.mark.parametrize(
    ("layers", "loss", "shape", "words"),
    [
        ([dense(3, "softmax")], BINARY, (4,), "'last', gives shape .3,. per row.*Let the last layer have 1 unit."),
        ([dense(1, "sigmoid")], SPARSE, (4,), "target 'y' has 3 classes. Let the last layer have 3 units."),
        ([dense(2, "softmax")], CATEGORICAL, (4,), "has 3 classes"),
        ([dense(2)], SQUARED, (4,), "Let the last layer have 1 unit."),
        ([dense(3, "softmax")], SPARSE, (5, 4), "3 units, with a Flatten before layer 'last'"),
        ([dense(1)], SQUARED, (5, 4), "1 unit, with a Flatten before layer 'last'"),
        (
            [{"type": "LSTM", "units": 4, "return_sequences": True, "name": "memory"}, dense(1)],
            SQUARED, (5, 4), "leave return_sequences out of layer 'memory'",
        ),
        ([{"type": "Conv2D", "filters": 3, "kernel_size": 2}], SPARSE, (5, 5, 1), "add a Flatten and then a Dense layer"),
    ],
)  # fmt: skip
def test_a_last_layer_of_another_shape_is_refused_with_the_mend(layers, loss, shape, words):
    y = np.linspace(0, 1, ROWS)[:, None] if loss == SQUARED else None
    with pytest.raises(InvalidInput, match=words) as caught:
        check(layers, loss, y, x=np.zeros((ROWS, *shape), np.float32))
    assert caught.value.problems[0].pointer == f"/definition/layers/{len(layers) - 1}"


# What new last layers answer


def wrapped(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequential", "name": "inside", "layers": list(layers)}


def memory(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "units": 1, "name": "last"} | fields


GRAPH = {
    "type": "Functional", "name": "graph",
    "inputs": [{"name": "numbers", "shape": [4]}],
    "layers": [
        {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "gate", "inbound": ["numbers"]},
        {"type": "Dense", "units": 1, "activation": "tanh", "name": "change", "inbound": ["numbers"]},
        {"type": "Multiply", "name": "both", "inbound": ["gate", "change"]},
    ],
    "outputs": ["both"],
}  # fmt: skip
STEPS = np.zeros((ROWS, 5, 4), np.float32)


@pytest.mark.parametrize(
    ("layers", "x", "pointer", "words"),
    [
        ([memory("SimpleRNN")], STEPS, "layers/0", "ends with tanh"),
        ([memory("GRU")], STEPS, "layers/0", "ends with tanh"),
        ([memory("LSTM", activation="relu")], STEPS, "layers/0", "ends with relu"),
        ([{"type": "RNN", "cell": {"type": "GRUCell", "units": 1}, "name": "last"}], STEPS, "layers/0", "ends with tanh"),
        (
            [{"type": "Bidirectional", "layer": {"type": "GRU", "units": 1}, "merge_mode": "ave", "name": "last"}],
            STEPS, "layers/0", "'last' ends with tanh",
        ),
        (
            [{"type": "TimeDistributed", "layer": dense(1, name="inner")}, {"type": "GlobalAveragePooling1D"}],
            STEPS, "layers/0/layer", "'inner' ends with linear",
        ),
        ([{"type": "EinsumDense", "equation": "ab,bc->ac", "output_shape": 1, "name": "last"}], None, "layers/0", "linear"),
        (
            [{"type": "Conv2D", "filters": 1, "kernel_size": 1, "name": "last"}, {"type": "GlobalAveragePooling2D"}],
            IMAGES, "layers/0", "'last' ends with linear",
        ),
        (
            [{"type": "SeparableConv2D", "filters": 1, "kernel_size": 4, "name": "last"}, {"type": "Flatten"}],
            IMAGES, "layers/0", "'last' ends with linear",
        ),
        ([{"type": "SpectralNormalization", "layer": dense(1, "relu")}], None, "layers/0/layer", "ends with relu"),
        ([dense(1), {"type": "ELU", "name": "end"}], None, "layers/1", "'end' ends with elu"),
        ([dense(1), {"type": "PReLU", "name": "end"}], None, "layers/1", "'end' ends with prelu"),
        ([dense(1), {"type": "LayerNormalization", "name": "end"}], None, "layers/1", "'end' ends with linear"),
        ([dense(1), {"type": "Identity"}, {"type": "Reshape", "target_shape": [1]}], None, "layers/0", "'last' ends with linear"),
        ([dense(1), {"type": "Rescaling", "scale": 2.0}], None, "layers/0", "'last' ends with linear"),
        ([dense(1, "sigmoid"), {"type": "Rescaling", "scale": 2.0, "name": "twice"}], None, "layers/1", "sigmoid and Rescaling"),
        ([wrapped(dense(4, "relu", name="first"), dense(1))], None, "layers/0/layers/1", "'last' ends with linear"),
        ([wrapped({"type": "Dense", "units": 1})], None, "layers/0/layers/0", "'inside' ends with linear"),
        ([GRAPH], None, "layers/0/layers/2", "'both' ends with Multiply of sigmoid and tanh"),
    ],
)  # fmt: skip
def test_what_a_last_layer_answers_is_known_whatever_it_is_made_of(layers, x, pointer, words):
    with pytest.raises(InvalidInput, match=f"Loss BinaryCrossentropy wants probabilities, but.*{words}") as caught:
        check(layers, BINARY, x=x)
    assert caught.value.problems[0].pointer == f"/definition/{pointer}"


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ([memory("SimpleRNN", activation="sigmoid")], STEPS),
        ([memory("GRU", recurrent_activation="tanh")], STEPS),
        ([{"type": "TimeDistributed", "layer": dense(1, "sigmoid")}, {"type": "GlobalMaxPooling1D"}], STEPS),
        ([{"type": "Conv2D", "filters": 1, "kernel_size": 4, "activation": "sigmoid"}, {"type": "Flatten"}], IMAGES),
        ([wrapped(dense(4, name="first"), dense(1, "sigmoid"))], None),
        ([dense(1, "sigmoid"), {"type": "Activation", "activation": "linear"}], None),
        ([dense(1, "sigmoid"), {"type": "Rescaling", "scale": 0.98, "offset": 0.01}], None),
        ([dense(1), {"type": "Normalization", "mean": 0.0, "variance": 1.0}], None),
    ],
)
def test_a_last_layer_of_probabilities_or_one_that_is_not_known_is_let_through(layers, x):
    check(layers, BINARY, x=x)


def test_a_softmax_of_a_single_unit_is_found_in_a_nested_model_and_an_axis_of_several_is_not_taken_for_one():
    with pytest.raises(InvalidInput, match="'last' is a softmax of a single unit"):
        check([wrapped(dense(1, "softmax"))], BINARY)
    check(
        [dense(1), {"type": "Softmax", "axis": 1}, {"type": "Flatten"}],
        SQUARED,
        np.linspace(0, 1, ROWS)[:, None].repeat(5, 1),
        x=STEPS,
    )


@pytest.mark.parametrize(
    ("layers", "low", "high", "words"),
    [
        ([dense(1), {"type": "ELU", "alpha": 0.5, "name": "end"}], -0.6, 9, "'end' ends with elu, which answers only from -0.5"),
        ([dense(1, "selu")], -2, 9, "from -1.7581 to inf"),
        ([dense(1, "silu")], -0.3, 9, "ends with silu"),
        ([dense(1, "sigmoid"), {"type": "Rescaling", "scale": 10.0, "offset": -5.0}], -6, 5, "answers only from -5 to 5"),
        ([dense(4, "relu", name="first"), {"type": "UnitNormalization"}, dense(1, "softsign")], -2, 2, "from -1 to 1"),
    ],
)
def test_numbers_beyond_the_bounds_of_newer_last_layers_are_refused(layers, low, high, words):
    with pytest.raises(InvalidInput, match=words):
        check(layers, SQUARED, np.linspace(low, high, ROWS)[:, None])


@pytest.mark.parametrize(
    "layers",
    [
        [dense(1), {"type": "ELU"}],
        [dense(1), {"type": "PReLU"}],
        [dense(1, "sigmoid"), {"type": "Rescaling", "scale": 12.0, "offset": -6.0}],
        [dense(1, "hard_shrink")],
        [{"type": "BatchNormalization"}, dense(1)],
    ],
)
def test_numbers_within_the_bounds_of_newer_last_layers_are_let_through(layers):
    check(layers, SQUARED, np.linspace(-0.9, 6, ROWS)[:, None])
