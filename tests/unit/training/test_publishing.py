import errno
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from service.features.plan import ArrayInput, FeaturePlan, Target
from service.serving.engine import OnnxEngine
from service.spec.compile import MeanSquaredError
from service.training.failures import describe_failure
from service.training.publishing import NotLoadable, compare, export, publish
from tests.unit.training.conftest import make_examples

# Keras patches tf2onnx for NumPy 2 by asking whether np.object is there, at which NumPy warns.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object` will be defined:FutureWarning")

PLAN = FeaturePlan(
    inputs=[ArrayInput(name="input", array="x", shape=[3], dtype="float32")],
    targets=[Target(output="output", columns=["y"], encoding="number")],
)


def model_of(units: int, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation="softmax")])


def test_an_export_that_answers_otherwise_is_found_out(tmp_path):
    export(model_of(2, seed=0), tmp_path / "model.onnx", PLAN)
    parity = compare(model_of(2, seed=1), OnnxEngine(tmp_path / "model.onnx"), [np.ones((4, 3), np.float32)], PLAN)
    assert not parity.agrees
    assert "differ by up to" in parity.reason
    assert parity.max_abs_difference > 0


def test_a_faithful_export_agrees_whatever_the_number_of_rows(tmp_path):
    model = model_of(4)
    export(model, tmp_path / "model.onnx", PLAN)
    for rows in (1, 5):
        parity = compare(model, OnnxEngine(tmp_path / "model.onnx"), [np.ones((rows, 3), np.float32)], PLAN)
        assert parity.agrees, parity.reason


def test_what_changes_images_in_training_only_is_exported_as_predictions_see_it(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.RandomFlip(), keras.layers.Flatten(), keras.layers.Dense(2)])
    export(model, tmp_path / "model.onnx", PLAN)
    rows = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    parity = compare(model, OnnxEngine(tmp_path / "model.onnx"), [rows], PLAN)
    assert parity.agrees, parity.reason


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((8, 4), keras.layers.Conv1D(8, 3, groups=2, padding="causal")),
        ((8, 8, 4), keras.layers.Conv2D(8, 3, groups=4, strides=2, padding="same")),
    ],
)
def test_a_convolution_of_several_groups_is_exported(shape, layer, tmp_path):
    model = keras.Sequential([keras.Input(shape), layer, keras.layers.Flatten(), keras.layers.Dense(2)])
    export(model, tmp_path / "model.onnx", PLAN)
    rows = np.random.default_rng(0).random((9, *shape), np.float32)
    parity = compare(model, OnnxEngine(tmp_path / "model.onnx"), [rows], PLAN)
    assert parity.agrees, parity.reason
    assert tf.function.__module__ != "service.training.publishing"


@pytest.mark.parametrize("activation", ["gelu", "celu"])
def test_an_activation_of_operations_that_the_exporter_does_not_know_is_exported(activation, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation=activation)])
    export(model, tmp_path / "model.onnx", PLAN)
    parity = compare(model, OnnxEngine(tmp_path / "model.onnx"), [np.linspace(-9, 9, 30, dtype=np.float32).reshape(10, 3)], PLAN)
    assert parity.agrees, parity.reason
    assert parity.max_abs_difference < 1e-5


def test_a_number_on_a_boundary_falls_into_the_same_bin(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Discretization([-0.1, 0.5, 2.0], output_mode="one_hot")])
    export(model, tmp_path / "model.onnx", PLAN)
    rows = np.array([[-0.1, 0.5, 2.0], [-0.2, 0.4, 2.1]], np.float32)
    assert compare(model, OnnxEngine(tmp_path / "model.onnx"), [rows], PLAN).max_abs_difference == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_a_model_that_keras_saves_and_cannot_load_is_not_published(tmp_path):
    """A single number is a range to either side for Keras, which it then refuses to read."""
    images = keras.layers.RandomShear(x_factor=0.2)
    model = keras.Sequential([keras.Input((4, 4, 1)), images, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    x = np.zeros((4, 4, 4, 1), np.float32)
    examples = make_examples(x, np.arange(4, dtype=np.float32)[:, None], 4, MeanSquaredError())
    with pytest.raises(NotLoadable, match="Keras cannot load the model that it has saved"):
        publish(model, tmp_path / "model.keras", tmp_path / "model.onnx", examples)
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")])
def test_running_out_of_memory_is_told_as_such(error):
    assert describe_failure(error).type == "out_of_memory"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_used_up_quota_are_told_as_such(number):
    failed = describe_failure(OSError(number, os.strerror(number), "/srv/run/model.keras"))
    assert failed.type == "disk_full"
    assert "/work" not in failed.message + failed.hint


def test_a_file_system_that_tensorflow_finds_full_is_no_want_of_memory():
    error = tf.errors.ResourceExhaustedError(None, None, "variables.data: No space left on device")
    assert describe_failure(error).type == "disk_full"


def test_a_failure_shows_no_path_of_the_host_and_no_trace():
    trace = 'Graph execution error:\n\nDetected at node x\n  File "/home/me/a.py", line 3, in f\n'
    error = ValueError(f"{trace}Could not read /home/me/secret.txt today")
    assert describe_failure(error).message == "Could not read (path) today"
