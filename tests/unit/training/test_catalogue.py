"""The catalogue against the real Keras: nothing is missing, and everything in it builds, computes and learns."""

import inspect
import json
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.initializers import ALL_OBJECTS_DICT as INITIALIZER_NAMES
from keras.src.losses import ALL_OBJECTS_DICT as LOSS_NAMES
from keras.src.metrics import ALL_OBJECTS_DICT as METRIC_NAMES
from keras.src.utils.naming import reset_uids, to_snake_case

from service.spec.activations import ACTIVATIONS, ActivationName
from service.spec.base import KerasObject, explanations, spellings_of
from service.spec.compile import CompileSpec, metric_names
from service.spec.constraints import CONSTRAINTS
from service.spec.family import Family
from service.spec.initializers import INITIALIZERS
from service.spec.layers import LAYERS
from service.spec.layers.recurrent import CELLS
from service.spec.losses import LOSSES
from service.spec.metrics import METRICS, AccuracyByLoss
from service.spec.optimizers import OPTIMIZERS
from service.spec.regularizers import REGULARIZERS
from service.spec.schedules import SCHEDULES
from service.spec.script import call
from service.training.building import MODULES, as_keras
from tests.catalogue import exclusions, layers, others
from tests.catalogue.documents import full_document

FAMILIES = [LAYERS, CELLS, INITIALIZERS, REGULARIZERS, CONSTRAINTS, OPTIMIZERS, SCHEDULES, LOSSES, METRICS]
CLASSES = [
    cls for family in FAMILIES for cls in family.members.values() if cls is not AccuracyByLoss and cls.namespace != "keras"
]
IDS = [f"{cls.namespace.removeprefix('keras.')}.{cls.__name__}" for cls in CLASSES]
OFFERED = {getattr(MODULES[cls.namespace], cls.model_fields["type"].default) for cls in CLASSES}
NONE_MEANS_KERAS_DEFAULT = ("initializer", "name")
"""None is never passed on for these, so that Keras's own default holds."""
TAKEN_BY_EVERY_LAYER = {"name": None, "trainable": True}
"""Keras's layers take these among their keyword arguments, with these defaults."""
BATCH = 4


def keras_class(cls: type[KerasObject]) -> type:
    return getattr(MODULES[cls.namespace], cls.model_fields["type"].default)


def parameters(cls: type[KerasObject]) -> dict[str, inspect.Parameter]:
    initialise = keras_class(cls).__init__
    if initialise is object.__init__:
        return {}
    return {name: parameter for name, parameter in inspect.signature(initialise).parameters.items() if name != "self"}


# Nothing is missing


@pytest.mark.parametrize("namespace", sorted(exclusions.EXCLUDED_CLASSES))
def test_every_class_of_keras_is_offered_or_excluded_with_a_reason(namespace):
    module, excluded = MODULES[namespace], exclusions.EXCLUDED_CLASSES[namespace]
    public = {name: thing for name, thing in vars(module).items() if inspect.isclass(thing) and not name.startswith("_")}
    left_out = {name for name, thing in public.items() if thing not in OFFERED}
    assert left_out == set(excluded)


@pytest.mark.parametrize("cls", CLASSES, ids=IDS)
def test_every_argument_is_offered_or_excluded_with_a_reason(cls):
    excluded = exclusions.EVERYWHERE | exclusions.EXCLUDED_ARGUMENTS.get(cls.model_fields["type"].default, {})
    assert set(parameters(cls)) - set(cls.model_fields) - set(excluded) == set()
    assert set(cls.model_fields) & set(excluded) == set()


@pytest.mark.parametrize("cls", CLASSES, ids=IDS)
def test_every_field_is_an_argument_with_the_default_of_keras(cls):
    known = parameters(cls)
    different = exclusions.OTHER_DEFAULTS.get(cls.model_fields["type"].default, {})
    for name, field in cls.model_fields.items():
        if name in cls.no_arguments or name in different:
            continue
        if name in TAKEN_BY_EVERY_LAYER and name not in known:
            assert field.default is TAKEN_BY_EVERY_LAYER[name], name
            continue
        assert name in known, name
        default = known[name].default
        if field.is_required():
            assert default is inspect.Parameter.empty, name
        elif not (name.endswith(NONE_MEANS_KERAS_DEFAULT) and field.default is None):
            assert in_one_form(field.default) == in_one_form(default), name


def in_one_form(default: Any) -> Any:
    """Lists for tuples; and Keras writes the same default for both sides of a window as a pair."""
    if isinstance(default, list | tuple):
        items = [in_one_form(item) for item in default]
        return items[0] if all(item == items[0] for item in items) else items
    return default


@pytest.mark.parametrize("cls", CLASSES, ids=IDS)
def test_every_class_and_field_is_explained(cls):
    assert cls.__doc__.rstrip().endswith(".")
    assert set(explanations(cls)) == set(cls.model_fields) - {"type"}


def test_every_activation_function_of_keras_is_offered():
    functions = {name for name, thing in vars(keras.activations).items() if inspect.isfunction(thing)}
    assert (
        set(ACTIVATIONS)
        == set(ActivationName.__args__)
        == functions - {"deserialize", "get", "serialize"} - set(exclusions.EXCLUDED_ACTIVATIONS)
    )


@pytest.mark.parametrize(
    ("family", "names"),
    [(INITIALIZERS, INITIALIZER_NAMES), (LOSSES, LOSS_NAMES), (METRICS, METRIC_NAMES)],
    ids=lambda x: getattr(x, "name", ""),
)
def test_every_name_that_keras_knows_means_the_same_here(family: Family, names: dict[str, Any]):
    namespace = family.base.namespace
    excluded = {*exclusions.EXCLUDED_CLASSES[namespace], *map(to_snake_case, exclusions.EXCLUDED_CLASSES[namespace])}
    spellings = spellings_of(*family.members.values())
    for name, thing in names.items():
        if hasattr(MODULES[namespace], thing.__name__) and thing.__name__ not in excluded:
            assert to_snake_case(spellings[name]) == to_snake_case(thing.__name__), name


# Everything builds


def built(document: dict[str, Any], family: Family = LAYERS) -> Any:
    """The Keras object of a document, after checking that its script builds the same one."""
    spec = family.validate(document)
    assert family.validate(spec.as_document()) == spec
    reset_uids()
    scripted = config_of(eval(call(spec), {"keras": keras}))
    reset_uids()
    thing = as_keras(spec)
    assert scripted == config_of(thing)
    return thing


def config_of(thing: Any) -> Any:
    return json.loads(json.dumps(keras.saving.serialize_keras_object(thing), default=str))


def layer_cases(cases: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(name, shape, document, kind == "minimal", id=f"{name}-{kind}")
        for name, (shape, required, further) in cases.items()
        for kind, document in (
            ("minimal", {"type": name} | required),
            ("full", full_document(LAYERS.members[name], required, further)),
        )
    ]


def test_every_layer_is_tried():
    models = {name for name, cls in LAYERS.members.items() if cls.namespace == "keras"}
    assert models == {"Sequential", "Functional"}
    assert set(LAYERS.members) - models == set(layers.LAYERS) | set(layers.JOINING)
    assert {name for name, cls in LAYERS.members.items() if cls.takes[0] > 1} == set(layers.JOINING)


@pytest.mark.parametrize(("name", "shape", "document", "run_eagerly"), layer_cases(layers.LAYERS))
def test_a_layer_computes_and_learns(name, shape, document, run_eagerly):
    layer = built(document)
    model = keras.Sequential([keras.Input(shape), layer, *head(name)])
    check_learning(model, data(name, shape), run_eagerly)


@pytest.mark.parametrize(("name", "shape", "document", "run_eagerly"), layer_cases(layers.JOINING))
def test_a_joining_layer_computes_and_learns(name, shape, document, run_eagerly):
    layer = built(document)
    inputs = [keras.Input(shape), keras.Input(shape)]
    outputs = layer(*inputs) if "Query" in name or "MultiHead" in name else layer(inputs)
    for further in head(name):
        outputs = further(outputs)
    check_learning(keras.Model(inputs, outputs), [data(name, shape), data(name, shape)], run_eagerly)


def head(name: str) -> list[Any]:
    cast = [keras.layers.Rescaling(1.0)] if name in ("CategoryEncoding", "Discretization") else []
    flat = keras.layers.GlobalAveragePooling1D() if name in ("Embedding", "Masking") else keras.layers.Flatten()
    return [*cast, flat, keras.layers.Dense(1)]


def data(name: str, shape: list[int]) -> np.ndarray:
    numbers = np.random.default_rng(0).random((BATCH, *shape), np.float32)
    return np.floor(numbers * 4) if name in ("Embedding", "CategoryEncoding") else numbers


def check_learning(model: keras.Model, x: Any, run_eagerly: bool = False) -> None:
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse", jit_compile=False, run_eagerly=run_eagerly)
    before = model.layers[-1].get_weights()[1]
    assert np.isfinite(model(x).numpy()).all()
    assert np.isfinite(model.train_on_batch(x, np.ones((BATCH, 1), np.float32)))
    assert (model.layers[-1].get_weights()[1] != before).all()


@pytest.mark.parametrize("name", sorted(CELLS.members))
def test_a_cell_works_in_a_recurrent_layer(name):
    layer = built({"type": "RNN", "cell": full_document(CELLS.members[name], layers.CELLS[name], {})})
    check_learning(keras.Sequential([keras.Input((6, 4)), layer, keras.layers.Dense(1)]), data(name, [6, 4]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_computes(activation):
    output = built({"type": "Activation", "activation": activation})(np.array([[-2.0, 0.5, 1.0, 3.0]], np.float32))
    assert np.isfinite(output.numpy()).all()


def cases(family: Family, table: dict[str, Any]) -> list[Any]:
    """Name, further facts, and document of every member, minimal and full."""
    assert {cls.model_fields["type"].default for cls in family.members.values()} - {"accuracy"} == set(table)
    return [
        pytest.param(name, *facts, document, id=f"{name}-{kind}")
        for name, (*facts, required, further) in table.items()
        for kind, document in (
            ("minimal", {"type": name} | required),
            ("full", full_document(family.members[name], required, further)),
        )
    ]


@pytest.mark.parametrize(("name", "document"), cases(INITIALIZERS, others.INITIALIZERS))
def test_an_initializer_gives_weights(name, document):
    assert np.isfinite(built(document, INITIALIZERS)((4, 1, 6) if name == "STFT" else (4, 4))).all()


@pytest.mark.parametrize(("name", "document"), cases(REGULARIZERS, others.REGULARIZERS))
def test_a_regularizer_gives_a_penalty(name, document):
    assert float(built(document, REGULARIZERS)(keras.ops.ones((4, 3)))) >= 0


@pytest.mark.parametrize(("name", "document"), cases(CONSTRAINTS, others.CONSTRAINTS))
def test_a_constraint_gives_weights(name, document):
    assert np.isfinite(built(document, CONSTRAINTS)(keras.ops.ones((4, 3)))).all()


@pytest.mark.parametrize(("name", "document"), cases(SCHEDULES, others.SCHEDULES))
def test_a_schedule_gives_learning_rates(name, document):
    schedule = built(document, SCHEDULES)
    assert all(float(schedule(step)) > 0 for step in (0, 3, 9))


@pytest.mark.parametrize(("name", "document"), cases(OPTIMIZERS, others.OPTIMIZERS))
def test_an_optimizer_changes_the_weights(name, document):
    optimizer = built(document, OPTIMIZERS)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(optimizer=optimizer, loss="mse", jit_compile=False, run_eagerly=len(document) == 1)
    before = model.layers[0].get_weights()[0]
    for _ in range(4):
        model.train_on_batch(data(name, [4]), np.ones((BATCH, 1), np.float32))
    after = model.layers[0].get_weights()[0]
    assert np.isfinite(after).all()
    assert (after != before).any()


SHARES = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]], np.float32)
TRUTHS = {
    "number": (
        np.array([[0.5, 1.0], [2.0, 0.25], [1.0, 3.0]], np.float32),
        np.array([[0.25, 1.0], [2.0, 0.5], [2.0, 1.0]], "f4"),
    ),
    "binary": (np.array([[0.0], [1.0], [1.0]], np.float32), np.array([[0.25], [0.5], [0.75]], np.float32)),
    "index": (np.array([[0], [2], [1]], np.int32), SHARES),
    "one_hot": (np.eye(3, dtype=np.float32)[[0, 2, 1]], SHARES),
}
"""Targets and outputs, as the feature plan and a fitting last layer give them."""


@pytest.mark.parametrize(("name", "document"), cases(LOSSES, others.LOSSES))
def test_a_loss_takes_targets_in_its_encoding(name, document):
    truth, output = TRUTHS[LOSSES.members[name].target_encoding]
    assert np.isfinite(float(built(document, LOSSES)(truth, output)))


@pytest.mark.parametrize(("name", "encoding", "document"), cases(METRICS, others.METRICS))
def test_a_metric_has_the_column_that_is_announced(name, encoding, document):
    truth, output = TRUTHS[encoding]
    model = keras.Sequential([keras.Input(output.shape[1:]), keras.layers.Identity()])
    model.compile(loss="mse", metrics=[built(document, METRICS)], run_eagerly=True)
    measured = model.test_on_batch(output, truth, return_dict=True)
    announced = metric_names(CompileSpec(optimizer="sgd", loss="mse", metrics=[document]), ["output"])
    assert set(measured) == {"loss", *announced}
    assert np.isfinite(np.concatenate([np.ravel(value) for value in measured.values()])).all()


@pytest.mark.parametrize(("name", "encoding", "document"), cases(METRICS, others.METRICS))
def test_a_metric_says_whether_keras_knows_if_small_or_large_is_good_and_whether_it_is_several_numbers(name, encoding, document):
    truth, output = TRUTHS[encoding]
    spec, metric = METRICS.validate(document), built(document, METRICS)
    metric.update_state(truth, output)
    assert spec.has_direction is hasattr(metric, "_direction")
    assert spec.is_several(output.shape[-1]) is (np.size(metric.result()) > 1)
