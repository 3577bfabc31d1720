"""Layers that measure the training rows before a fit, against Keras's own ``adapt``."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from service.features.plan import read_plan
from service.features.requests import RequestEncoder
from service.serving.engine import OnnxEngine
from service.spec.definition import Definition
from service.spec.frames import Finished, FitJob, Frame, Planned, Start
from service.training import adapting
from service.training import job as story
from service.training.adapting import adapt, normalizations, rows_at_once
from service.training.building import build_model
from service.training.examples import Part
from service.training.wishes import StopAsked, Wishes
from tests.unit.training.conftest import make_job, store_arrays
from tests.unit.training.trials import KILLED_AT, QUIET, SHORT, STEP_BY_STEP, Trial, assert_exact

pytestmark = [QUIET, pytest.mark.filterwarnings("ignore:In the future `np.object` will be defined:FutureWarning")]

ROWS = 60
HALF = {"type": "Rescaling", "scale": 0.5, "name": "half"}
FLIP = {"type": "RandomFlip", "name": "flip"}
SCALE = {"type": "Normalization", "name": "scale"}
FLAT = {"type": "Flatten", "name": "flat"}
LAST = {"type": "Dense", "units": 1, "name": "last"}
DROP = {"type": "Dropout", "rate": 0.5}


def called(layer: dict[str, Any], *inbound: str) -> dict[str, Any]:
    return layer | {"inbound": list(inbound)}


INNER = {
    "type": "Functional",
    "name": "inner",
    "inputs": [{"name": "picture", "shape": [4, 4, 2]}, {"name": "numbers", "shape": [3]}],
    "layers": [
        called(HALF, "picture"),
        called(FLAT, "half"),
        called({"type": "Concatenate", "name": "both"}, "flat", "numbers"),
        called(SCALE, "both"),
    ],
    "outputs": ["scale"],
}
INPUTS = [{"name": "a", "shape": [4, 4, 2]}, {"name": "b", "shape": [3]}]
DEFINITIONS: dict[str, dict[str, Any]] = {
    "first": {"layers": [SCALE, FLAT, LAST]},
    "behind others": {"layers": [FLIP, HALF, FLAT, SCALE | {"axis": None}, LAST]},
    "pixels": {"layers": [HALF, SCALE | {"axis": [1, 2, 3]}, FLAT, LAST]},
    "in a model": {"layers": [FLIP, {"type": "Sequential", "layers": [HALF, SCALE]}, FLAT, LAST]},
    "behind weights": {"layers": [{"type": "Dense", "units": 3, "name": "dense"}, SCALE, FLAT, LAST]},
    "in a graph": {
        "inputs": INPUTS,
        "layers": [
            called(FLAT, "a"),
            called({"type": "Concatenate", "name": "both"}, "flat", "b"),
            called(SCALE, "both"),
            called(LAST, "scale"),
        ],
        "outputs": ["last"],
    },
    "in a graph in a graph": {
        "inputs": INPUTS,
        "layers": [
            called({"type": "Sequential", "name": "changed", "layers": [FLIP]}, "a"),
            called(INNER, "changed", "b"),
            called(LAST, "inner"),
        ],
        "outputs": ["last"],
    },
}


def rows_of(document: dict[str, Any], rows: int = ROWS) -> tuple[np.ndarray, ...]:
    noise = np.random.default_rng(0)
    shapes = [entry["shape"] for entry in document.get("inputs", INPUTS[:1])]
    return tuple(noise.normal(3, 5, (rows, *shape)).astype(np.float32) for shape in shapes)


def reaching(model: keras.Model, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    """What the model hands to the layer 'scale', caught when it is called."""
    caught = []
    (layer,) = normalizations(model)
    original = layer.call
    layer.call = lambda tensor: (caught.append(np.asarray(tensor)), original(tensor))[1]
    try:
        model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
    finally:
        layer.call = original
    return caught[0]


def measured(model: keras.Model) -> list[np.ndarray]:
    return [weight for layer in normalizations(model) for weight in layer.get_weights()]


def as_keras_does(document: dict[str, Any], model: keras.Model, inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    (built,) = normalizations(model)
    layer = keras.layers.Normalization(axis=built.axis)
    layer.adapt(reaching(model, inputs))
    return layer.get_weights()


def built(document: dict[str, Any], inputs: tuple[np.ndarray, ...]) -> tuple[keras.Model, Definition, Part]:
    definition = Definition.model_validate(document)
    model = build_model(definition, [array.shape[1:] for array in inputs], 1_000_000, seed=1)
    return model, definition, Part(inputs, (np.zeros((len(inputs[0]), 1), np.float32),))


@pytest.mark.parametrize("rows", [ROWS, 7])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_layer_measures_what_reaches_it_as_keras_does(name, rows):
    inputs = rows_of(DEFINITIONS[name])
    model, definition, part = built(DEFINITIONS[name], inputs)
    adapt(model, definition, part, rows, lambda: None)
    for ours, theirs in zip(measured(model), as_keras_does(DEFINITIONS[name], model, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    answer = np.asarray(normalizations(model)[0](reaching(model, inputs)))
    assert abs(answer.mean()) < 1e-3
    assert answer.std() == pytest.approx(1, abs=1e-3)


def test_rows_that_are_measured_at_once_give_the_very_bits_of_keras():
    inputs = rows_of(DEFINITIONS["first"])
    model, definition, part = built(DEFINITIONS["first"], inputs)
    adapt(model, definition, part, ROWS, lambda: None)
    layer = keras.layers.Normalization()
    layer.adapt(inputs[0])
    assert all((a == b).all() for a, b in zip(measured(model), layer.get_weights(), strict=True))


def test_a_later_layer_measures_what_an_earlier_one_makes_of_the_rows():
    document = {"layers": [SCALE, {"type": "Rescaling", "scale": 3.0}, SCALE | {"name": "again"}, FLAT, LAST]}
    inputs = rows_of(document)
    model, definition, part = built(document, inputs)
    adapt(model, definition, part, 16, lambda: None)
    mean, variance, _ = model.get_layer("again").get_weights()
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(variance, 9, rtol=1e-5)


def test_whole_numbers_are_measured_as_the_model_takes_them():
    document = {
        "inputs": [{"name": "a", "shape": [3], "dtype": "int32"}],
        "layers": [called(SCALE, "a"), called(LAST, "scale")],
        "outputs": ["last"],
    }
    x = np.array([[0.9, 1.9, 5.0]] * 3 + [[2.0, 3.0, 9.9]], np.float32)
    model, definition, part = built(document, (x,))
    adapt(model, definition, part, ROWS, lambda: None)
    assert measured(model)[0].tolist() == [0.5, 1.5, 6.0]


def test_blocks_are_as_large_as_what_the_rows_make_allows(monkeypatch):
    deep = {"layers": [{"type": "UpSampling2D", "size": 16}, SCALE, {"type": "GlobalAveragePooling2D"}, LAST]}
    sizes = {}
    for name, document in {"first": DEFINITIONS["first"], "deep": deep}.items():
        model, definition, part = built(document, rows_of(document))
        sizes[name] = rows_at_once(model, definition, part, 32)
    assert sizes == {"first": adapting.MAX_ROWS, "deep": pytest.approx(adapting.MAX_NUMBERS / (2 * 32 + 256 * 32), rel=0.01)}
    monkeypatch.setattr(adapting, "MAX_NUMBERS", 1)
    assert rows_at_once(model, definition, part, 32) == 32
    plain = {"layers": [FLAT, LAST]}
    model, definition, part = built(plain, rows_of(plain))
    assert rows_at_once(model, definition, part, 32) is None


def test_rows_of_a_free_length_count_with_all_they_make():
    document = {"layers": [{"type": "Conv1D", "filters": 64, "kernel_size": 1}, SCALE, FLAT, LAST], "input_shape": [None, 1]}
    model, definition, part = built(
        document | {"layers": [*document["layers"][:2], {"type": "LSTM", "units": 1}, LAST]},
        (np.zeros((5, 9000, 1), np.float32),),
    )
    assert rows_at_once(model, definition, part, 1) < adapting.MAX_NUMBERS / (64 * 9000)


def test_a_stop_is_obeyed_between_two_blocks():
    model, definition, part = built(DEFINITIONS["first"], rows_of(DEFINITIONS["first"]))
    asked = []

    def go_on() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise StopAsked("none")

    with pytest.raises(StopAsked):
        adapt(model, definition, part, 7, go_on)
    assert len(asked) == 3


# In a fit


def fitted(job: FitJob) -> tuple[Finished, list[Frame]]:
    frames: list[Frame] = []
    finished = story.fit(job, frames.append, Wishes())
    assert isinstance(finished, Finished)
    return finished, frames


def job_on(document: dict[str, Any], folder: Path, arrays: tuple[np.ndarray, ...], **fields: Any) -> FitJob:
    names = [entry["name"] for entry in document["inputs"]] if "inputs" in document else ["x"]
    folder.mkdir(exist_ok=True)
    dataset = store_arrays(folder, **dict(zip(names, arrays, strict=True)), y=np.arange(len(arrays[0]), dtype=np.float32))
    loss = {"last": {"type": "MeanSquaredError"}} if "inputs" in document else {"type": "MeanSquaredError"}
    settings = {"epochs": 2, "batch_size": 8, "validation_split": 0.2, "split": "last"} | fields.pop("fit", {})
    return make_job(
        folder / "run",
        dataset,
        definition=document,
        compile={"optimizer": {"type": "Adam", "learning_rate": 0.01}, "loss": loss},
        target={"last": "y"} if "inputs" in document else "y",
        fit=settings,
        **({"publish": False} | fields),
    )


def saved(job: FitJob) -> keras.Model:
    return keras.saving.load_model(Path(job.directory, "model.keras"))


def test_the_training_rows_are_measured_and_no_others(tmp_path):
    (x,) = rows_of(DEFINITIONS["first"])
    other = np.concatenate([x[:48], 100 * x[48:]])
    jobs = [job_on(DEFINITIONS["first"], tmp_path / str(number), (rows,)) for number, rows in enumerate((x, other))]
    models = []
    for job in jobs:
        _, frames = fitted(job)
        assert [frame.adapted_rows for frame in frames if isinstance(frame, Planned)] == [adapting.MAX_ROWS]
        models.append(saved(job))
    layer = keras.layers.Normalization()
    layer.adapt(x[:48])
    for model in models:
        assert all((a == b).all() for a, b in zip(measured(model), layer.get_weights(), strict=True))
    assert all((a == b).all() for a, b in zip(*(model.get_weights() for model in models), strict=True))


@pytest.mark.parametrize("name", ["first", "behind others", "in a model", "in a graph", "in a graph in a graph"])
def test_an_adapted_model_is_served_by_onnx_and_answers_as_keras_does(name, tmp_path):
    document = DEFINITIONS[name]
    job = job_on(document, tmp_path, rows_of(document), publish=True)
    finished, _ = fitted(job)
    publication = finished.publication
    assert publication.engine == "onnx", publication.parity.reason
    plan, model = read_plan(publication.plan), saved(job)
    assert measured(model)[0].any()
    tensors, _ = RequestEncoder(plan).encode_rows(publication.example["rows"])
    engine = OnnxEngine(Path(job.directory, "model.onnx"))
    answers = engine.run({entry.name: tensor for entry, tensor in zip(plan.inputs, tensors, strict=True)}, plan.output_names)
    np.testing.assert_allclose(answers[0], model(tensors if len(tensors) > 1 else tensors[0], training=False), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_what_a_mixed_policy_has_measured_is_served_in_32_bits(policy, tmp_path):
    inputs = rows_of(DEFINITIONS["first"])
    job = job_on(DEFINITIONS["first"], tmp_path, inputs, publish=True, fit={"dtype_policy": policy})
    finished, _ = fitted(job)
    assert finished.publication.engine == "onnx", finished.publication.parity.reason
    layer = keras.layers.Normalization(dtype="float32")
    layer.adapt(inputs[0][:48])
    assert all((a == b).all() for a, b in zip(measured(saved(job)), layer.get_weights(), strict=True))


@pytest.mark.parametrize("take", ["state", "weights"])
def test_a_run_that_goes_on_from_another_measures_nothing_anew(take, tmp_path):
    (x,) = rows_of(DEFINITIONS["first"])
    first = job_on(DEFINITIONS["first"], tmp_path / "first", (x,))
    fitted(first)
    files = {"model": str(Path(first.directory, "model.keras")), "state": str(Path(first.directory, "state.npz"))}
    start = Start(run_id="run_0", take=take, **files)
    second = job_on(DEFINITIONS["first"], tmp_path / "second", (10 * x,), start=start, publish=True, fit={"epochs": 3})
    finished, _ = fitted(second)
    assert all((a == b).all() for a, b in zip(measured(saved(second)), measured(saved(first)), strict=True))
    assert finished.publication.parity.agrees, "the fitted model computes with what it has saved"


@STEP_BY_STEP
@pytest.mark.parametrize("layers", [[SCALE, DROP, LAST], [HALF, {"type": "Sequential", "layers": [SCALE, DROP]}, LAST]])
def test_a_fit_that_goes_on_after_an_interruption_is_exact(layers, tmp_path):
    noise = np.random.default_rng(0)
    rows = noise.normal(7, 3, (50, 3)).astype(np.float32), noise.normal(size=(50, 1)).astype(np.float32)
    trial = assert_exact(tmp_path, KILLED_AT, layers=layers, rows=rows, fit=SHORT)
    assert measured(trial.model)[0].any()


@STEP_BY_STEP
def test_a_restored_layer_computes_with_what_was_restored(tmp_path):
    trial = Trial(layers=[SCALE, LAST], fit=SHORT, size=9.0).run()
    resumed = Trial(layers=[SCALE, LAST], fit=SHORT, size=9.0).run(trial.fitted.state)
    layers = [normalizations(one.model)[0] for one in (trial, resumed)]
    assert (np.asarray(layers[0].mean) == np.asarray(layers[1].mean)).all()
    assert (np.asarray(layers[0].variance) == np.asarray(layers[1].variance)).all()


# What comes from Keras


@pytest.mark.parametrize("is_adapted", [False, True])
def test_a_model_of_keras_comes_over_and_measures_the_rows_anew(is_adapted):
    """Its JSON has no numbers, whether there are any or not: these are among its weights."""
    layer = keras.layers.Normalization(name="scale")
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    if is_adapted:
        layer.adapt(np.ones((4, 3), np.float32))
    definition = Definition.model_validate({"keras": model.to_json()})
    assert definition.layers[0].is_adapted


def test_numbers_that_are_given_come_over():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Normalization(mean=[1, 2, 3], variance=[1, 1, 4])])
    (layer,) = Definition.model_validate({"keras": model.to_json()}).layers
    assert (layer.mean, layer.variance) == ([1, 2, 3], [1, 1, 4])
    assert not layer.is_adapted
