"""Building a model without weights."""

import os
import re
from typing import Any

import keras
import pytest

from service.infra.memory import resident_bytes
from service.spec.check_frames import Checked, CheckJob
from service.spec.layers import LAYERS
from service.training.dry_build import dry_build

IMAGE, SERIES, FLAT = [12, 12, 4], [12, 6], [10]
SHAPES = {"Conv2D": IMAGE, "MaxPooling2D": IMAGE, "LSTM": SERIES}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Dense": {"units": 3}, "Activation": {"activation": "relu"}, "Dropout": {"rate": 0.5}, "GaussianNoise": {"stddev": 0.1},
    "GaussianDropout": {"rate": 0.5}, "Conv2D": {"filters": 2, "kernel_size": 3}, "RandomRotation": {"factor": 0.1},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}, "RandomZoom": {"height_factor": 0.1},
    "RandomContrast": {"factor": 0.1}, "Embedding": {"input_dim": 20, "output_dim": 3}, "LSTM": {"units": 3},
}  # fmt: skip
EVERY_LAYER = list(LAYERS.members)
HOST_DETAILS = re.compile(r"/\w+/\w+|\.py\b|\x1b|Arguments received")


def build(*layers: dict[str, Any], shape: list[int | None] | None = None, compiled: dict[str, Any] | None = None) -> Checked:
    return dry_build(CheckJob(definition={"layers": list(layers)}, compile=compiled, input_shape=shape))


def is_image(layer_type: str) -> bool:
    return layer_type in ("Conv2D", "MaxPooling2D") or layer_type.startswith("Random")


@pytest.mark.parametrize("layer_type", sorted(set(EVERY_LAYER) & (set(ARGUMENTS) | {"BatchNormalization", "Flatten", "ReLU"})))
def test_a_layer_is_as_in_a_real_model(layer_type: str) -> None:
    shape = IMAGE if is_image(layer_type) else SHAPES.get(layer_type, FLAT)
    arguments = ARGUMENTS.get(layer_type, {})

    built = build({"type": layer_type, **arguments}, shape=list(shape))

    assert built.problems == []
    assert built.layers is not None
    real = keras.Sequential([keras.Input(tuple(shape)), getattr(keras.layers, layer_type)(**arguments)])
    assert built.layers[0].output_shape == list(real.output_shape[1:])
    assert [weight.shape for weight in built.layers[0].weights] == [list(weight.shape) for weight in real.weights]


def test_names_are_those_of_keras_and_begin_anew_every_time() -> None:
    for _ in range(2):
        built = build({"type": "Dense", "units": 2}, {"type": "Dense", "units": 1}, shape=[3])

        assert [layer.name for layer in built.layers or []] == ["dense", "dense_1"]


def test_nothing_is_allocated_for_billions_of_parameters() -> None:
    before = resident_bytes(os.getpid())

    built = build(*({"type": "Dense", "units": 10**6} for _ in range(5)), shape=[10**6])

    assert built.layers is not None
    assert built.layers[-1].weights[0].shape == [10**6, 10**6]
    assert resident_bytes(os.getpid()) - before < 100 * 1024**2


@pytest.mark.parametrize(
    ("layers", "shape", "place", "message"),
    [
        ([{"type": "Conv2D", "filters": 1, "kernel_size": 9}], [4, 4, 1], 0, "zero or negative"),
        ([{"type": "Dense", "units": 2}, {"type": "Conv2D", "filters": 1, "kernel_size": 2}], [4], 1, "ndim"),
        ([{"type": "BatchNormalization", "axis": 7}], [4], 0, "Keras cannot build this"),
        ([{"type": "Conv2D", "filters": 4, "kernel_size": 1, "groups": 3}], [4, 4, 4], 0, "groups"),
    ],
)
def test_what_keras_refuses_is_told_with_its_layer(
    layers: list[dict[str, Any]], shape: list[int | None], place: int, message: str
) -> None:
    built = build(*layers, shape=shape)

    assert built.layers is None
    assert [problem.pointer for problem in built.problems] == [f"/definition/layers/{place}"]
    assert message in built.problems[0].message
    assert built.problems[0].fix
    assert not HOST_DETAILS.search(built.problems[0].message)


def test_without_a_shape_only_the_arguments_are_tried() -> None:
    layer = {"type": "Conv2D", "filters": 4, "kernel_size": 1}

    assert build(layer) == Checked(layers=None, problems=[])
    refused = build(layer | {"strides": 2, "dilation_rate": 2})
    assert [problem.pointer for problem in refused.problems] == ["/definition/layers/0"]


def test_a_part_of_compile_that_keras_refuses_is_told() -> None:
    optimizer = {"type": "SGD", "clipnorm": 1.0, "clipvalue": 1.0}

    built = build(
        {"type": "Dense", "units": 1}, shape=[2], compiled={"optimizer": optimizer, "loss": "mse", "metrics": ["accuracy", "AUC"]}
    )

    assert [problem.pointer for problem in built.problems] == ["/compile/optimizer"]
    assert built.layers is not None
