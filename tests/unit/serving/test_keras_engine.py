"""Answers of a real sidecar are those of Keras itself, bit for bit."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest

from service.errors import Unavailable
from service.infra.scratch import Scratch
from service.serving.keras_engine import KerasEngine
from service.serving.sidecar import KerasRefused, Sidecar
from service.spec.frames import TensorSpec

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

L = keras.layers
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with closing(Scratch(tmp_path_factory.mktemp("scratch"), "test")) as scratch, closing(Sidecar(60, scratch)) as sidecar:
        yield sidecar


@pytest.fixture(scope="module", autouse=True)
def resident(sidecar: Sidecar, tmp_path_factory: pytest.TempPathFactory) -> KerasEngine:
    """A model that is used all the time, so that the process stays from test to test."""
    return engine_of(sidecar, dropping(), tmp_path_factory.mktemp("resident") / "model.keras")


def grouped() -> keras.Model:
    """Keras compiles its convolution with XLA, for every number of rows anew."""
    image = keras.Input((6, 6, 4))
    return keras.Model(image, L.Dense(3, activation="softmax")(L.Flatten()(L.Conv2D(8, 3, groups=2, activation="relu")(image))))


def recurrent() -> keras.Model:
    return keras.Sequential([keras.Input((7, 3)), L.LSTM(5, return_sequences=True), L.GlobalAveragePooling1D(), L.Dense(1)])


def embedding() -> keras.Model:
    return keras.Sequential([keras.Input((4,), dtype="int32"), L.Embedding(10, 3), L.Flatten(), L.Dense(2)])


def dropping() -> keras.Model:
    """It does at random in training what it does not do in answers."""
    layers = [L.Dense(16, activation="gelu"), L.BatchNormalization(), L.Dropout(0.5), L.GaussianNoise(1.0), L.Dense(2)]
    return keras.Sequential([keras.Input((5,)), *layers])


def branched() -> keras.Model:
    left, right = keras.Input((3,)), keras.Input((2, 2))
    joined = L.Concatenate()([L.Dense(4)(left), L.Flatten()(right)])
    return keras.Model([left, right], [L.Dense(1, name="one")(joined), L.Dense(2, name="two")(joined)])


MODELS = (grouped, recurrent, embedding, dropping, branched)


def rows_for(model: keras.Model, rows: int) -> list[np.ndarray]:
    numbers = np.random.default_rng(rows)
    return [numbers.integers(0, 10, (rows, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]


def engine_of(sidecar: Sidecar, model: keras.Model, path: Path) -> KerasEngine:
    model.compile(loss="mse", optimizer="adam")
    model.save(path)
    specs = (
        [TensorSpec(name=f"{letter}{place}", dtype="float32", shape=list(tensor.shape)) for place, tensor in enumerate(tensors)]
        for letter, tensors in (("x", model.inputs), ("y", model.outputs))
    )
    return KerasEngine(sidecar, lambda: path, *specs)


def ask(engine: KerasEngine, tensors: list[np.ndarray]) -> list[np.ndarray]:
    return engine.run({f"x{place}": tensor for place, tensor in enumerate(tensors)})


def expected(model: keras.Model, tensors: list[np.ndarray]) -> list[np.ndarray]:
    answers = model.predict(tensors if len(tensors) > 1 else tensors[0], verbose=0)
    return answers if isinstance(answers, list) else [answers]


@pytest.mark.parametrize("make", MODELS)
def test_answers_are_those_of_predict_whatever_the_number_of_rows(make, sidecar, tmp_path):
    keras.utils.set_random_seed(1)
    model = make()
    engine = engine_of(sidecar, model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    for rows in (1, 2, 31, 32, 33, 100):
        tensors = rows_for(model, rows)
        for answer, truth in zip(ask(engine, tensors), expected(loaded, tensors), strict=True):
            np.testing.assert_array_equal(answer, truth, strict=True)


def test_outputs_are_given_by_their_names_in_the_order_that_is_asked_for(sidecar, tmp_path):
    model = branched()
    engine = engine_of(sidecar, model, tmp_path / "model.keras")
    tensors = rows_for(model, 3)
    inputs = dict(zip(("x1", "x0"), tensors[::-1], strict=True))
    one, two = expected(model, tensors)
    (answer,) = engine.run(inputs, ["y1"])
    np.testing.assert_array_equal(answer, two)
    np.testing.assert_array_equal(engine.run(inputs, ["y1", "y0"])[1], one)


def test_a_model_that_computes_in_16_bits_answers_in_32(sidecar, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = keras.Sequential([keras.Input((5,)), L.Dense(8, activation="relu"), L.Dense(2)])
    finally:
        keras.config.set_dtype_policy("float32")
    engine = engine_of(sidecar, model, tmp_path / "model.keras")
    tensors = rows_for(model, 3)
    (answer,) = ask(engine, tensors)
    np.testing.assert_array_equal(answer, expected(model, tensors)[0].astype(np.float32), strict=True)


def test_a_file_that_is_no_model_is_refused_with_the_words_of_keras_and_without_a_path(sidecar, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"no model")
    with pytest.raises(KerasRefused, match=r"(?i)file") as refused:
        KerasEngine(sidecar, lambda: tmp_path / "model.keras", [], [])
    assert str(tmp_path) not in str(refused.value)


def test_rows_of_another_shape_are_refused_and_the_next_ones_answered(sidecar, tmp_path):
    model = dropping()
    engine = engine_of(sidecar, model, tmp_path / "model.keras")
    with pytest.raises(KerasRefused):
        ask(engine, [np.zeros((2, 6), np.float32)])
    assert ask(engine, rows_for(model, 2))[0].shape == (2, 2)


def test_a_killed_process_is_replaced_and_its_models_answer_as_before(sidecar, tmp_path):
    models = [recurrent(), dropping()]
    engines = [engine_of(sidecar, model, tmp_path / f"{place}.keras") for place, model in enumerate(models)]
    tensors = [rows_for(model, 5) for model in models]
    before = [ask(*pair) for pair in zip(engines, tensors, strict=True)]
    killed = sidecar.pid
    os.kill(killed, signal.SIGSTOP)  # so that the next request is under way when it dies
    signal.signal(signal.SIGALRM, lambda *_: os.kill(killed, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, 0.3)

    with pytest.raises(Unavailable, match="has died"):
        ask(engines[0], tensors[0])

    after = [ask(*pair) for pair in zip(engines, tensors, strict=True)]
    assert sidecar.pid != killed
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[0], new[0])


def test_a_model_is_loaded_into_the_memory_of_those_that_were_unloaded(sidecar, resident, tmp_path):
    """TensorFlow keeps memory that it has taken once for what comes next."""
    large = keras.Sequential([keras.Input((1000,)), L.Dense(12_500), L.Dense(1)])  # 50 MB of weights
    grown = [memory_after(sidecar, resident, large, tmp_path / f"{place}.keras") for place in range(8)]
    assert grown[-1] - grown[1] < 100 * MEBIBYTE


def memory_after(sidecar: Sidecar, other: KerasEngine, model: keras.Model, path: Path) -> int:
    """Memory of the process after a model was loaded, asked and unloaded."""
    engine = engine_of(sidecar, model, path)
    ask(engine, rows_for(model, 1))
    del engine
    gc.collect()
    ask(other, [np.zeros((1, 5), np.float32)])  # which waits for the unloading
    return psutil.Process(sidecar.pid).memory_info().rss
