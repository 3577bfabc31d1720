"""The typed definition against the real Keras: every argument has Keras's name and Keras's default."""

import inspect

import keras
import pytest

from service.spec.base import KerasObject
from service.spec.compile import LOSSES, METRICS, OPTIMIZERS, AccuracyByLoss
from service.spec.initializers import INITIALIZERS, REGULARIZERS
from service.spec.layers import LAYERS, Activation

CLASSES = [cls for cls in (*LAYERS, *OPTIMIZERS, *LOSSES, *METRICS, *INITIALIZERS, *REGULARIZERS) if cls is not AccuracyByLoss]

NONE_MEANS_KERAS_DEFAULT = ("initializer", "name")
"""None is never passed on for these, so that Keras's own default holds."""
TAKEN_BY_EVERY_LAYER = {"name", "trainable"}
"""Keras's layers take these among their keyword arguments, with defaults None and True."""


def keras_class(cls: type[KerasObject]):
    return getattr(getattr(keras, cls.namespace.removeprefix("keras.")), cls.model_fields["type"].default)


def arguments_of(cls: type[KerasObject]) -> list[str]:
    return [name for name in cls.model_fields if name != "type"]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.namespace}.{cls.__name__}")
def test_every_argument_has_the_name_and_default_of_keras(cls):
    parameters = inspect.signature(keras_class(cls).__init__).parameters
    for name in arguments_of(cls):
        if name in TAKEN_BY_EVERY_LAYER and name not in parameters:
            assert any(p.kind is p.VAR_KEYWORD for p in parameters.values()), name
            continue
        assert name in parameters, name
        field, parameter = cls.model_fields[name], parameters[name]
        if name.endswith(NONE_MEANS_KERAS_DEFAULT) and field.default is None:
            continue
        if field.is_required():
            assert parameter.default is inspect.Parameter.empty, name
        else:
            assert in_one_form(field.default) == in_one_form(parameter.default), name


def in_one_form(default):
    """Keras writes the same default for both sides of a window as a pair."""
    return default[0] if isinstance(default, tuple) and len(set(default)) == 1 else default


@pytest.mark.parametrize("name", Activation.__args__)
def test_every_activation_is_known_to_keras(name):
    assert callable(keras.activations.get(name))
