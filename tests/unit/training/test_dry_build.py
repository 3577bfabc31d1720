"""Building a model without weights."""

import os
import re
from typing import Any

import keras
import pytest

from service.infra.memory import resident_bytes
from service.spec.check_frames import Checked, CheckJob
from service.spec.layers import LAYERS as CATALOGUE
from service.spec.sizes import Row, size_of
from service.training.building import as_keras
from service.training.dry_build import dry_build
from tests.catalogue.documents import full_document
from tests.catalogue.layers import LAYERS

CASES = [
    pytest.param(name, shape, arguments, id=f"{name}-{kind}")
    for name, (shape, required, further) in LAYERS.items()
    for kind, arguments in (("required", required), ("full", full_document(CATALOGUE.members[name], required, further)))
]
REFUSED = ("Equalization",)
"""Layers that Keras 3.15 itself cannot put behind an input: it takes their output for their input."""
HOST_DETAILS = re.compile(r"/\w+/\w+|\.py\b|\x1b|Arguments received")


def build(*layers: dict[str, Any], shape: list[int | None] | None = None, compiled: dict[str, Any] | None = None) -> Checked:
    return dry_build(CheckJob(definition={"layers": list(layers)}, compile=compiled, input_shapes=shape and [shape]))


@pytest.mark.parametrize(("layer_type", "shape", "arguments"), CASES)
def test_every_layer_is_as_in_a_real_model(layer_type: str, shape: list[int], arguments: dict[str, Any]) -> None:
    document = {"type": layer_type, **arguments}

    built = build(document, shape=shape)

    spec = CATALOGUE.validate(document)
    if layer_type in REFUSED:
        with pytest.raises(ValueError, match="cycle"):
            keras.Sequential([keras.Input(tuple(shape)), as_keras(spec)])
        assert "cycle" in built.problems[0].message
        return
    assert built.problems == []
    assert built.layers is not None
    real = keras.Sequential([keras.Input(tuple(shape)), as_keras(spec)])
    assert built.layers[0].output_shape == list(real.output_shape[1:])
    assert [weight.shape for weight in built.layers[0].weights] == [list(weight.shape) for weight in real.weights]
    assert sum(weight.is_trained for weight in built.layers[0].weights) == len(real.trainable_weights)
    size = size_of(spec, Row(tuple(shape), is_whole=True))
    if size.output.is_whole:
        assert list(size.output.dims) == built.layers[0].output_shape
    if size.weights is not None:
        assert [list(weight.shape) for weight in size.weights] == [weight.shape for weight in built.layers[0].weights]


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
    metrics = ["accuracy", {"type": "IoU", "num_classes": 2, "target_class_ids": [5]}]
    compiled = {"optimizer": "adam", "loss": "mse", "metrics": metrics}

    built = build({"type": "Dense", "units": 1}, shape=[2], compiled=compiled)

    assert [problem.pointer for problem in built.problems] == ["/compile/metrics/1"]
    assert "out of range" in built.problems[0].message
    assert built.layers is not None


def test_metrics_allocate_nothing_either() -> None:
    metrics = [{"type": "MeanIoU", "num_classes": 4096, "name": f"m{place}"} for place in range(8)]
    before = resident_bytes(os.getpid())

    built = build({"type": "Dense", "units": 1}, shape=[2], compiled={"optimizer": "adam", "loss": "mse", "metrics": metrics})

    assert built.problems == []
    assert resident_bytes(os.getpid()) - before < 100 * 1024**2
