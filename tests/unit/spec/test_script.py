"""The script runs as it is, and builds the model that the trainer builds."""

import json
import subprocess
import sys

import keras
import pytest

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.model_script import keras_script
from service.training.building import as_model

TUTORIAL = {
    "layers": [
        {"type": "Dense", "units": 25, "activation": "sigmoid", "name": "layer1"},
        {"type": "Dense", "units": 15, "activation": "sigmoid", "name": "layer2"},
        {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "layer3"},
    ]
}
CONVOLUTION = {
    "layers": [
        {"type": "Conv2D", "filters": 4, "kernel_size": [3, 3], "kernel_initializer": {"type": "HeNormal", "seed": 3}},
        {"type": "MaxPooling2D"},
        {"type": "BatchNormalization", "trainable": False},
        {"type": "Flatten"},
        {"type": "Dropout", "rate": 0.5},
        {"type": "Dense", "units": 3, "kernel_regularizer": {"type": "L2", "l2": 0.1}},
        {"type": "Activation", "activation": "softmax"},
    ]
}
SEQUENCE = {
    "layers": [
        {"type": "Embedding", "input_dim": 50, "output_dim": 4, "mask_zero": True},
        {"type": "LSTM", "units": 3},
        {"type": "Dense", "units": 1},
    ]
}
CASES = [
    ("my_model", TUTORIAL, [64], {"optimizer": "sgd", "loss": "binary_crossentropy", "metrics": ["accuracy"]}),
    ("a-b.c", CONVOLUTION, [8, 8, 1], {"optimizer": {"type": "Adam", "learning_rate": 0.01}, "loss": "mse"}),
    (
        "7up",
        SEQUENCE,
        [None],
        {
            "optimizer": {"type": "SGD", "momentum": 0.9, "nesterov": True},
            "loss": {"type": "Huber", "delta": 2.0},
            "metrics": ["mae", {"type": "RootMeanSquaredError", "name": "rmse"}],
            "jit_compile": True,
        },
    ),
]
PRINT_SUMMARY = """
import json
print("summary", json.dumps([model.name, [[layer.name, layer.count_params()] for layer in model.layers]]))
"""


def script_of(name, definition, shape, compile_spec):
    return keras_script(name, Definition.model_validate(definition), CompileSpec.model_validate(compile_spec), [shape])


@pytest.fixture(scope="module")
def summaries():
    """What the scripts themselves say, run one after the other in one process."""
    programs = [script_of(*case) + PRINT_SUMMARY for case in CASES]
    program = "\nkeras.utils.clear_session()\n".join(programs)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    lines = [line.removeprefix("summary ") for line in done.stdout.splitlines() if line.startswith("summary ")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case[0] for case in CASES])
def test_the_script_builds_the_model_that_the_trainer_builds(index, summaries):
    name, definition, shape, _ = CASES[index]
    keras.utils.clear_session()
    model = as_model(Definition.model_validate(definition), [tuple(shape)])
    assert summaries[index] == [name, [[layer.name, layer.count_params()] for layer in model.layers]]


def test_a_script_reads_as_a_learner_would_write_it():
    assert (
        script_of(*CASES[0])
        == '''"""The model 'my_model' as a plain Keras script."""

import keras

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

# Fit it to X, an array of shape (rows, 64), and its targets y:
# model.fit(X, y, epochs=20)
'''
    )


def test_an_unknown_input_shape_is_left_to_the_data():
    name, definition, _, compile_spec = CASES[0]
    assert "keras.Input" not in script_of(name, definition, None, compile_spec)
