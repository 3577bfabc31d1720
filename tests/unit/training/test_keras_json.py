"""A model that somebody has in Keras comes over as it is, as long as its layers stand in a row."""

import json
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from service.spec.definition import Definition
from service.spec.layers import LAYERS
from service.training.building import as_keras, as_model, reset_keras
from tests.catalogue.documents import full_document
from tests.catalogue.layers import LAYERS as CASES

SINGLE = {name: case for name, case in CASES.items() if LAYERS.members[name].takes[0] == 1}
NOT_BEHIND_AN_INPUT = ("Equalization",)
"""Keras 3.15 takes its output for its input."""


def imported(model: keras.Model, as_text: bool = True) -> Definition:
    document = model.to_json()
    return Definition.model_validate({"keras": document if as_text else json.loads(document)})


def configs(model: keras.Model) -> list[dict[str, Any]]:
    return [layer.get_config() for layer in model.layers]


@pytest.mark.parametrize("kind", ["required", "full"])
@pytest.mark.parametrize("name", sorted(set(SINGLE) - set(NOT_BEHIND_AN_INPUT)))
def test_every_layer_comes_over_with_its_settings(name, kind):
    shape, required, further = SINGLE[name]
    document = required if kind == "required" else full_document(LAYERS.members[name], required, further)
    layer = as_keras(LAYERS.validate({"type": name, **document}))
    model = keras.Sequential([keras.Input(tuple(shape)), layer])

    definition = imported(model)

    assert definition.input_shape == list(shape)
    assert configs(as_model(definition, [tuple(shape)])) == configs(model)


def test_a_whole_model_gives_the_same_numbers_with_the_same_weights():
    reset_keras(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.RandomFlip("horizontal"),
            layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax", kernel_constraint=keras.constraints.MaxNorm(2)),
        ]
    )
    other = as_model(imported(model, as_text=False), [(8, 8, 1)])
    other.set_weights(model.get_weights())
    rows = np.random.default_rng(0).random((5, 8, 8, 1), dtype=np.float32)
    assert other.count_params() == model.count_params()
    assert (np.asarray(other(rows, training=False)) == np.asarray(model(rows, training=False))).all()


def test_a_model_without_an_input_takes_it_from_the_data():
    assert imported(keras.Sequential([keras.layers.Dense(2, name="last")])).input_shape is None


def dense(**fields: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}} | fields


def sequential(*layers: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = {"class_name": "L2", "config": {"l2": value}}
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "not JSON"),
        (5, "no object"),
        ({}, "Sequential"),
        ({"class_name": "Model", "config": {}}, "this is 'Model'"),
        ({"class_name": "Sequential"}, "layers"),
        ({"class_name": "Sequential", "config": []}, "layers"),
        (sequential(), "at least 1"),
        (sequential(5), "valid dictionary"),
        (sequential(dense(module="os")), "no part of Keras"),
        (sequential(dense(module="kerasx.layers")), "no part of Keras"),
        (sequential({"class_name": "Lambda", "config": {"function": "x"}}), "Lambda"),
        (sequential(dense(config={"units": 1, "activation": {"class_name": "function", "config": "mine"}})), "mine"),
        (sequential(dense(config={"units": 1, "kernel_regularizer": nested(70)})), "deep"),
        (sequential(dense(config={"units": 1, "rank": 3})), "rank"),
        (sequential({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}), "StringLookup"),
        (sequential({"class_name": ["Dense"], "config": {}}), "type"),
    ],
)
def test_what_cannot_come_over_is_refused(value, words):
    with pytest.raises(ValidationError, match=words):
        Definition.model_validate({"keras": value})


def test_it_stands_alone():
    with pytest.raises(ValidationError, match="keras"):
        Definition.model_validate({"keras": sequential(dense()), "layers": [{"type": "Dense", "units": 1}]})
