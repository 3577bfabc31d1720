"""A model that somebody has in Keras comes over as it is, as long as its layers are Keras's own."""

import json
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from service.errors import Problem
from service.spec.definition import Definition
from service.spec.layers import LAYERS
from service.spec.summary import estimate, first_rows
from service.training.building import as_keras, as_model, reset_keras
from tests.catalogue.documents import full_document
from tests.catalogue.layers import LAYERS as CASES
from tests.graphs import GRAPHS

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


@pytest.mark.parametrize("name", GRAPHS)
def test_every_kind_of_graph_comes_over_with_its_weights_and_answers(name):
    written = Definition.model_validate(GRAPHS[name])
    shapes = [tuple(entry.shape) for entry in written.inputs]
    model = as_model(written, shapes)

    taken = imported(model, as_text=False)

    assert (taken.input_names, taken.output_names) == (written.input_names, written.output_names)
    assert answers_alike(model, as_model(taken, shapes))


APPLICATIONS: dict[str, dict[str, Any]] = {
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {"alpha": 0.75, "minimalistic": True},
    "ResNet50": {},
    "ResNet50V2": {},
    "DenseNet121": {},
    "EfficientNetB0": {},
    "EfficientNetV2B0": {},
    "InceptionV3": {},
    "NASNetMobile": {},
    "Xception": {},
    "VGG16": {},
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_architectures_of_keras_come_over_unchanged(name):
    side = {"InceptionV3": 75, "Xception": 71}.get(name, 32)
    reset_keras(0)
    make = getattr(keras.applications, name)
    model = make(weights=None, input_shape=(side, side, 3), include_top=False, pooling="avg", **APPLICATIONS[name])
    definition = imported(model)
    shapes = [tuple(entry.shape) for entry in definition.inputs]
    assert answers_alike(model, as_model(definition, shapes), scale=255.0)
    table, problems = estimate(definition, first_rows(definition, None))
    assert problems == []
    assert sum(row.parameters for row in table) == model.count_params()


def answers_alike(model: keras.Model, other: keras.Model, scale: float = 9.0) -> bool:
    """Whether the other one has the same weights in the same order, and with the same values gives the same numbers."""
    assert [weight.shape for weight in other.weights] == [weight.shape for weight in model.weights]
    other.set_weights(model.get_weights())
    random = np.random.default_rng(0)
    rows = [(scale * random.random((2, *tensor.shape[1:]))).astype(np.float32) for tensor in model.inputs]
    pairs = [keras.tree.flatten(one(rows if len(rows) > 1 else rows[0], training=False)) for one in (model, other)]
    return all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(*pairs, strict=True))


@pytest.mark.parametrize("name", ["ConvNeXtTiny", "InceptionResNetV2"])
def test_an_architecture_with_a_layer_of_its_own_is_refused_by_name(name):
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(96, 96, 3))
    with pytest.raises(ValidationError, match=r"is a class inside of Keras .*, and no public layer"):
        imported(model)


def inputs(*names: str) -> list[Any]:
    return [keras.Input((3,), name=name) for name in names]


def test_sums_and_products_come_over_as_the_layers_that_do_the_same():
    a, b = inputs("a", "b")
    model = keras.Model([a, b], (2.0 - a * 0.5) * (b + 3) - keras.ops.maximum(a, b))
    taken = imported(model)
    assert [layer.type for layer in taken.layers].count("Rescaling") == 3
    assert answers_alike(model, as_model(taken, [(3,), (3,)]))


def test_an_operation_without_a_layer_is_refused_by_name():
    (a,) = inputs("a")
    with pytest.raises(ValidationError, match="the operation Sin is no layer"):
        imported(keras.Model(a, keras.ops.sin(a)))


def test_a_mistake_is_shown_in_the_document_that_was_sent():
    (a,) = inputs("a")
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(4)], name="inner")
    document = json.loads(keras.Model(a, keras.layers.Dense(1)(inner(a))).to_json())
    document["config"]["layers"][1]["config"]["layers"][2]["config"]["units"] = -1
    with pytest.raises(ValidationError) as caught:
        Definition.model_validate({"keras": document})
    place = ("keras", "config", "layers", 1, "config", "layers", 2, "config", "units")
    assert [entry["loc"] for entry in caught.value.errors()] == [place]
    with pytest.raises(ValidationError) as caught:
        Definition.model_validate({"keras": json.dumps(document)})
    assert [entry["loc"] for entry in caught.value.errors()] == [("keras",)]


def test_what_is_found_later_is_shown_in_the_document_that_was_sent_too():
    (a,) = inputs("a")
    document = json.loads(keras.Model(a, keras.layers.Dense(4, name="last")(keras.layers.Dense(2)(a))).to_json())
    problem = Problem("/definition/layers/1", "Too many.")
    sent = Definition.model_validate({"keras": document}).as_sent([problem, Problem("/compile/loss", "No.")])
    assert document["config"]["layers"][2]["name"] == "last"
    assert [entry.pointer for entry in sent] == ["/definition/keras/config/layers/2", "/compile/loss"]
    as_text = Definition.model_validate({"keras": json.dumps(document)})
    assert [entry.pointer for entry in as_text.as_sent([problem])] == ["/definition/keras"]
    written = Definition.model_validate(as_text.as_document())
    assert written.as_sent([problem]) == [problem]


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
        ('{"class_name": ' + "[" * 400 + "]" * 400 + "}", "nested too deeply"),
        ('{"layers": [' + "{}," * 60_000 + "0]}", "more than 100000 values"),
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
