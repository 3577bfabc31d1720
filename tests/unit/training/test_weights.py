from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest

from service.spec.weights import DOCUMENT, LayerSummary, WeightSummary
from service.training.weights import BLOCK_VALUES, write_weights

layers = keras.layers


class Written:
    """A file of weights as a reader without Keras finds it."""

    def __init__(self, model: keras.Model, folder: Path) -> None:
        self.path = folder / "weights.npz"
        write_weights(model, self.path)
        with np.load(self.path, allow_pickle=False) as file:
            self.entries = {name: file[name] for name in file.files}
        self.layers = msgspec.json.decode(self.entries.pop(DOCUMENT).tobytes(), type=list[LayerSummary])

    def summary(self, layer: str, weight: str) -> WeightSummary:
        (found,) = (w for known in self.layers for w in known.weights if (known.name, w.name) == (layer, weight))
        return found


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.clear_session()  # so that Keras counts the names it makes up from the beginning
    keras.utils.set_random_seed(3)


def assert_same(written: Written, model: keras.Model) -> None:
    """Every weight of the model is there once, in its order, bit for bit."""
    expected = [value for layer in model.layers for value in layer.get_weights()]
    assert len(expected) == len(written.entries) == sum(len(layer.weights) for layer in written.layers)
    for values, truth in zip(written.entries.values(), expected, strict=True):
        assert values.dtype == truth.dtype
        np.testing.assert_array_equal(values, truth)


def test_named_layers_keep_their_names_and_every_number(tmp_path):
    units = {"layer1": 25, "layer2": 15, "layer3": 1}
    dense = [layers.Dense(count, activation="sigmoid", name=name) for name, count in units.items()]
    model = keras.Sequential([keras.Input((2,)), *dense], name="my_model")
    written = Written(model, tmp_path)
    assert list(written.entries) == [f"{name}/{weight}" for name in units for weight in ("kernel", "bias")]
    assert [(layer.name, layer.type) for layer in written.layers] == [(name, "Dense") for name in units]
    assert written.summary("layer1", "kernel").shape == [2, 25]
    assert_same(written, model)


def test_every_kind_of_weight_is_there_but_no_seed(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((7,)),
            layers.Embedding(10, 4),
            layers.LSTM(3, dropout=0.1, seed=1, return_sequences=True),
            layers.Bidirectional(layers.LSTM(2), name="both"),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=2),
            layers.Dense(1, name="out"),
        ]
    )
    model(np.zeros((2, 7)), training=True)
    written = Written(model, tmp_path)
    cell = ["kernel", "recurrent_kernel", "bias"]
    assert {layer.name: [weight.name for weight in layer.weights] for layer in written.layers} == {
        "embedding": ["embeddings"],
        "lstm": [f"lstm_cell/{name}" for name in cell],
        "both": [f"{way}_lstm_1/lstm_cell/{name}" for way in ("forward", "backward") for name in cell],
        "batch_normalization": ["gamma", "beta", "moving_mean", "moving_variance"],
        "dropout": [],
        "out": ["kernel", "bias"],
    }
    assert "lstm/lstm_cell/kernel" in written.entries
    assert_same(written, model)


def test_models_within_models_and_shared_layers_are_written_whole(tmp_path):
    shared = layers.Dense(5, name="shared")
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")], name="inner")
    rows = keras.Input((5,), name="rows")
    steps = layers.TimeDistributed(shared, name="steps")(layers.Reshape((1, 5))(shared(rows)))
    model = keras.Model(rows, [inner(rows), steps])
    for number, known in enumerate((model, keras.models.model_from_json(model.to_json()))):
        folder = tmp_path / str(number)
        folder.mkdir()
        written = Written(known, folder)
        assert set(written.entries) == {
            f"{layer}/{weight}" for layer in ("shared", "inner/a", "inner/b", "steps/shared") for weight in ("kernel", "bias")
        }
        assert {layer.name for layer in written.layers} == {"shared", "inner", "steps", "reshape"}, "inputs are no layers"
        assert_same(written, known)


def test_weights_that_keras_names_alike_are_told_apart(tmp_path):
    cells = layers.StackedRNNCells([layers.GRUCell(3, name="cell"), layers.GRUCell(3, name="cell")])
    model = keras.Sequential([keras.Input((4, 6)), layers.RNN(cells, name="rnn")])
    written = Written(model, tmp_path)
    kernels = [name for name in written.entries if "/kernel" in name]
    assert kernels == ["rnn/stacked_rnn_cells/cell/kernel", "rnn/stacked_rnn_cells/cell/kernel_1"]
    assert_same(written, model)


def test_statistics_are_those_of_all_numbers(tmp_path):
    model = keras.Sequential([keras.Input((1,)), layers.Embedding(BLOCK_VALUES + 3, 1, name="large")])
    values = np.random.default_rng(0).normal(2, 0.5, (BLOCK_VALUES + 3, 1)).astype(np.float32)
    values[-1] = 100
    model.set_weights([values])
    summary = Written(model, tmp_path).summary("large", "embeddings")
    assert (summary.count, summary.min, summary.max) == (values.size, values.min(), 100)
    assert summary.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-12)
    assert summary.std == pytest.approx(values.std(dtype=np.float64), rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_a_number_is_not_finite_there_are_no_statistics(tmp_path, value):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="out")])
    model.set_weights([np.array([[1.0], [value], [2.0]]), np.array([0.5])])
    written = Written(model, tmp_path)
    summary = written.summary("out", "kernel")
    assert (summary.min, summary.max, summary.mean, summary.std) == (None, None, None, None)
    assert written.summary("out", "bias").mean == 0.5
    assert_same(written, model)


def test_types_that_numpy_does_not_know_lose_nothing(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, dtype="bfloat16", name="out")])
    written = Written(model, tmp_path)
    assert written.summary("out", "kernel").dtype == "bfloat16"
    assert written.entries["out/kernel"].dtype == np.float32
    np.testing.assert_array_equal(written.entries["out/kernel"], model.get_weights()[0].astype(np.float32))


def test_whole_numbers_without_an_axis_are_kept(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Normalization(name="scale")])
    written = Written(model, tmp_path)
    summary: Any = written.summary("scale", "count")
    assert (summary.shape, summary.dtype, summary.count, summary.max) == ([], "int64", 1, 0.0)


def test_equal_weights_give_equal_files(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.BatchNormalization()])
    first = Written(model, tmp_path).path.read_bytes()
    again = Written(model, tmp_path).path.read_bytes()
    assert first == again
