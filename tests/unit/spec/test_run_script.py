"""What the script of a run says; that it gives the run's weights is shown where the trainer is tested."""

import ast
from typing import Any

import pytest

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.fit import FitSpec
from service.spec.frames import Planned
from service.spec.layers import Dense
from service.spec.model_script import keras_script
from service.spec.run_script import Recipe, run_script
from service.spec.script import literal

LAYERS = [
    {"type": "Dense", "units": 25, "activation": "sigmoid", "name": "layer1"},
    {"type": "Dense", "units": 15, "activation": "sigmoid", "name": "layer2"},
    {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "layer3"},
]
COMPILE = {"optimizer": "sgd", "loss": "BinaryCrossentropy", "metrics": ["accuracy"]}
HOSTILE = [
    '"); import os; os.system("x',
    '""" + __import__("os").name + """',
    "'''); x = 1 #",
    "\\",
    '\\"',
    "a\nimport os\n",
    "a\r\n\x0cimport os",
    "\x00",
    "\N{RIGHT-TO-LEFT OVERRIDE}flipped\N{LINE SEPARATOR}x",
    "\ud800",
    "{0} {x.__class__} %s",
    "ünï 漢字",
]


def planned(**fields: Any) -> Planned:
    values: dict[str, Any] = {
        "features": {},
        "warnings": [],
        "epochs": 20,
        "steps": 9,
        "train_rows": 288,
        "validation_rows": 0,
        "parameters": 2031,
        "initial_epoch": 0,
        "chunk_rows": None,
        "window_chunks": None,
        "input_shapes": [[64]],
        "threads": 2,
        "versions": {"tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.0"},
    }
    return Planned(**(values | fields))


def recipe(fit: dict[str, Any], **fields: Any) -> Recipe:
    values: dict[str, Any] = {
        "run_id": "run_1",
        "model": "my_model",
        "definition": Definition.model_validate({"layers": LAYERS}),
        "compile": CompileSpec.model_validate(COMPILE),
        "fit": FitSpec.model_validate(fit),
        "seed": 7,
        "plan": planned(),
    }
    return Recipe(**(values | fields))


def script(fit: dict[str, Any], **fields: Any) -> str:
    return run_script(recipe(fit, **fields))


def test_a_script_reads_as_a_learner_would_write_it():
    assert (
        script({"epochs": 20})
        == '''"""Run 'run_1' of the model 'my_model' as a plain Keras script.

It needs the run's file encoded.npz beside it, and gives the run's final weights, bit for bit, with
TensorFlow 2.21.0, Keras 3.15.1 and NumPy 2.4.0 on a processor of the same kind.
"""

import itertools

import keras
import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(7)

data = np.load("encoded.npz")
x, y = data["x"], data["y"]

model = keras.Sequential(
    [
        keras.Input(shape=(64,)),
        keras.layers.Dense(units=25, activation="sigmoid", name="layer1"),
        keras.layers.Dense(units=15, activation="sigmoid", name="layer2"),
        keras.layers.Dense(units=1, activation="sigmoid", name="layer3"),
    ],
    name="my_model",
)
model.compile(
    optimizer=keras.optimizers.SGD(),
    loss=keras.losses.BinaryCrossentropy(),
    metrics=["accuracy"],
)


def batches():
    """All rows again and again, each time in a new order."""
    for number in itertools.count():
        order = np.random.default_rng([7, number]).permutation(len(x))
        for start in range(0, len(x), 32):
            rows = order[start : start + 32]
            yield x[rows], y[rows]


model.fit(batches(), epochs=20, steps_per_epoch=9)
model.save("model.keras")
'''
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"differences": ["was cancelled after epoch 3 of 20"]},
            "It may end with other weights than the run, which was cancelled after epoch 3 of 20.",
        ),
        (
            {"differences": ["went on with another processor", "failed after epoch 3 of 20 (timeout: It took too long)"]},
            "which went on with another processor, and failed after epoch 3 of 20 (timeout: It took too long).",
        ),
        ({"starts_from": "run_0"}, "as start.keras the file model.keras of run 'run_0', whose weights it begins with"),
        ({"notes": ["The run is running."]}, "The run is running."),
    ],
)
def test_the_first_lines_say_what_the_script_cannot_do_or_needs(fields, sentence):
    module = ast.parse(script({"epochs": 20}, **fields))
    assert sentence in " ".join((ast.get_docstring(module) or "").split())
    assert ("bit for bit" in (ast.get_docstring(module) or "")) == ("differences" not in fields)


def test_on_a_gpu_the_script_does_not_ask_for_what_the_run_could_not_have():
    assert "determinism" not in script({"epochs": 1}, plan=planned(inexact_reason="It was fitted on a GPU."))


def test_another_runs_weights_come_before_the_fit():
    lines = script({"epochs": 1}, starts_from="run_0").splitlines()
    load = lines.index('model.set_weights(keras.saving.load_model("start.keras").get_weights())')
    assert lines.index("model.compile(") < load < lines.index("def batches():")


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_string_holds_it_stays_that_string(text):
    assert ast.literal_eval(literal(text)) == text
    assert literal(text).isprintable()


def with_strings(text: str, **fields: Any) -> Recipe:
    """A recipe in which a client's every string is ``text``, past the checks that would refuse it."""
    layers = [Dense.model_construct(units=1, name=text, activation=text)]
    return recipe(
        {"epochs": 20, "callbacks": ["EarlyStopping", "ModelCheckpoint"]},
        run_id=text,
        model=text,
        definition=Definition.model_construct(inputs=None, layers=layers, outputs=None, input_shape=None),
        starts_from=text,
        differences=[text],
        notes=[text],
        **fields,
    )


def skeleton(source: str) -> str:
    """The syntax of a program, with every string left out."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_of_a_client_becomes_code(text):
    source = run_script(with_strings(text))
    assert skeleton(source) == skeleton(run_script(with_strings("harmless")))
    assert all(line.isprintable() for line in source.split("\n"))
    definition = with_strings(text).definition
    compile_spec = CompileSpec.model_validate(COMPILE)
    hostile = keras_script(text, definition, compile_spec, [None])
    assert skeleton(hostile) == skeleton(keras_script("harmless", definition, compile_spec, [None]))
