"""The table of layers: parameters in words, memory, and limits."""

from typing import Any

import keras
import pytest

from service.errors import InvalidInput
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.optimizers import OPTIMIZERS
from service.spec.sizes import Weight
from service.spec.summary import (
    LayerRow,
    ModelLimits,
    Row,
    estimate,
    first_rows,
    in_words,
    layer_names,
    memory_of,
    refuse_impossible,
)

LIMITS = ModelLimits(layers=10, parameters=200_000_000, activation_bytes=2**34)
SMALL_LIMITS = ModelLimits(layers=10, parameters=1000, activation_bytes=2**20)
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{"momentum": 0.9}],
    "Adam": [{"amsgrad": True}],
    "RMSprop": [{"momentum": 0.9}, {"centered": True}],
}
ROUGH = ("Adafactor", "Muon")
"""Optimizers whose state depends on the shapes; the table is near enough."""


def definition(*layers: dict[str, Any], **fields: Any) -> Definition:
    return Definition.model_validate({"layers": list(layers), **fields})


@pytest.mark.parametrize(
    "optimizer",
    [
        {"type": name} | options
        for name in OPTIMIZERS.members
        for options in [{}, {"use_ema": True}, {"gradient_accumulation_steps": 2}, *OPTIONS.get(name, [])]
    ],
    ids=str,
)
def test_the_memory_of_an_optimizer_is_that_of_keras(optimizer: dict[str, Any]) -> None:
    spec = CompileSpec.model_validate({"optimizer": optimizer, "loss": "mse"})
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(50)])
    real = getattr(keras.optimizers, optimizer["type"])(**{k: v for k, v in optimizer.items() if k != "type"})
    real.build(model.trainable_variables)
    table = [LayerRow(0, "dense", "Dense", Row((50,), True), (Weight("kernel", (40, 50)), Weight("bias", (50,))), 50)]

    bytes_of_keras = 4 * sum(int(keras.ops.size(variable)) for variable in real.variables[2:])  # step and learning rate

    estimated = memory_of(table, [Row((40,), True)], spec.optimizer, 1).optimizer
    assert estimated == pytest.approx(bytes_of_keras, rel=0.1 if optimizer["type"] in ROUGH else 0.001)


def test_a_frozen_layer_needs_no_gradients_and_no_optimizer() -> None:
    frozen = definition({"type": "Dense", "units": 5, "trainable": False}, {"type": "Dense", "units": 1}, input_shape=[3])
    table, _ = estimate(frozen, first_rows(frozen, None))
    spec = CompileSpec.model_validate({"optimizer": "adam", "loss": "mse"})

    memory = memory_of(table, [Row((3,), True)], spec.optimizer, 10)

    assert memory.parameters == 4 * 26
    assert memory.gradients == 4 * 6
    assert memory.optimizer == 4 * 2 * 6
    assert memory.activations == 4 * 10 * (3 + 5 + 1)
    assert memory.total == 4 * (26 + 6 + 12 + 90)


@pytest.mark.parametrize(
    ("layer_type", "weights", "words"),
    [
        ("Dense", {"kernel": (64, 25), "bias": (25,)}, "25 neurons × 64 inputs + 25 biases"),
        ("Dense", {"kernel": (15, 1), "bias": (1,)}, "1 neuron × 15 inputs + 1 bias"),
        ("Dense", {"kernel": (None, 2)}, "2 neurons × ? inputs"),
        ("Conv2D", {"kernel": (3, 5, 1, 8), "bias": (8,)}, "8 filters × 3 × 5 × 1 channel + 8 biases"),
        ("Embedding", {"embeddings": (1000, 16)}, "1,000 vectors × 16 numbers"),
        (
            "LSTM",
            {"kernel": (10, 128), "recurrent_kernel": (32, 128), "bias": (128,)},
            "4 gates × 32 units × (10 inputs + 32 from memory + 1 bias)",
        ),
        (
            "GRU",
            {"kernel": (10, 96), "recurrent_kernel": (32, 96), "bias": (2, 96)},
            "3 gates × 32 units × (10 inputs + 32 from memory + 2 biases)",
        ),
        ("SimpleRNN", {"kernel": (1, 2), "recurrent_kernel": (2, 2)}, "2 units × (1 input + 2 from memory)"),
        ("BatchNormalization", {"gamma": (4,), "moving_mean": (4,)}, "4 gamma + 4 moving mean"),
        ("Normalization", {"mean": (3,), "count": ()}, "3 mean + 1 count"),
        ("Flatten", {}, "none"),
    ],
)
def test_parameters_are_told_in_words(layer_type: str, weights: dict[str, tuple[int | None, ...]], words: str) -> None:
    assert in_words(layer_type, [Weight(name, shape) for name, shape in weights.items()]) == words


def test_layers_without_a_name_have_that_of_keras() -> None:
    layers = definition(
        {"type": "Dense", "units": 1},
        {"type": "MaxPooling2D"},
        {"type": "Dense", "units": 1},
        {"type": "Dense", "units": 1, "name": "mine"},
        {"type": "Dense", "units": 1},
    )

    assert layer_names(layers) == ["dense", "max_pooling2d", "dense_1", "mine", "dense_2"]


@pytest.mark.parametrize(
    ("layers", "fields"),
    [
        pytest.param([{"type": "Dense", "units": 10**6}, {"type": "Dense", "units": 10**6}], {}, id="two wide layers"),
        pytest.param([{"type": "LSTM", "units": 16_384}], {}, id="a long memory"),
        pytest.param([{"type": "Embedding", "input_dim": 10**8, "output_dim": 64}], {}, id="many words"),
        pytest.param([{"type": "Dense", "units": 1}], {"input_shape": [10**6] * 3}, id="a huge row"),
        pytest.param([{"type": "Dense", "units": 1}] * 11, {}, id="many layers"),
    ],
)
def test_a_model_over_the_limits_is_refused_without_its_data(layers: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_impossible(definition(*layers, **fields), LIMITS)

    assert refusal.value.problems[0].pointer.startswith("/definition/layers")


def test_layers_that_do_not_meet_are_refused_where_that_is_known_without_the_data() -> None:
    filters = {"type": "Conv2D", "filters": 1, "kernel_size": 9}
    with pytest.raises(InvalidInput) as refusal:
        refuse_impossible(definition(filters, input_shape=[4, 4, 1]), SMALL_LIMITS)

    assert refusal.value.problems[0].pointer == "/definition/layers/0"
    refuse_impossible(definition(filters), SMALL_LIMITS)


def test_an_ordinary_model_is_not_refused() -> None:
    layers = definition({"type": "Dense", "units": 4096}, {"type": "Dense", "units": 4096}, {"type": "Dense", "units": 10})

    refuse_impossible(layers, LIMITS)
