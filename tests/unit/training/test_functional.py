"""Functional models in real Keras: they are built, fitted, resumed, scripted and served as data says."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.plan import read_plan
from service.features.requests import RequestEncoder
from service.serving.engine import OnnxEngine
from service.spec.definition import Definition
from service.spec.frames import EpochEnded, Finished, FitJob, Frame, Planned, SnapshotTaken, Suspended
from service.spec.summary import estimate, first_rows
from service.training import job as story
from service.training.building import as_model, reset_keras
from service.training.wishes import Wishes
from tests.graphs import GRAPHS, A, dense, graph
from tests.unit.training.conftest import make_job, store_arrays, store_table
from tests.unit.training.trials import QUIET

ROWS = 60
TRACED = "ignore:In the future `np.object` will be defined:FutureWarning"
SHAPES = {"a": (4,), "b": (5,), "c": (4,), "class": (4,)}


def arrays_for(document: dict[str, Any]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for entry in document["inputs"]:
        name, shape = entry["name"], (ROWS, *entry["shape"])
        arrays[name] = random.integers(0, 10, shape) if entry.get("dtype") == "int32" else random.normal(size=shape)
    arrays["y0"] = random.normal(size=ROWS)
    return arrays | ({"y1": random.integers(0, 3, ROWS)} if len(document["outputs"]) > 1 else {})


def job_for(document: dict[str, Any], folder: Path, **fields: Any) -> FitJob:
    """A short fit of a graph on arrays with the names of its inputs."""
    losses = ["MeanSquaredError", "SparseCategoricalCrossentropy"]
    compiled = {
        "optimizer": {"type": "Adam", "learning_rate": 0.01},
        "loss": {name: {"type": loss} for name, loss in zip(document["outputs"], losses, strict=False)},
    }
    targets = {name: f"y{place}" for place, name in enumerate(document["outputs"])}
    folder.mkdir(exist_ok=True)
    dataset = store_arrays(folder, **arrays_for(document))
    settings = {"epochs": 2, "batch_size": 8, "validation_split": 0.2}
    return make_job(
        folder / "run", dataset, **{"definition": document, "compile": compiled, "target": targets, "fit": settings} | fields
    )


def fitted(job: FitJob) -> tuple[Finished, list[Frame]]:
    frames: list[Frame] = []
    finished = story.fit(job, frames.append, Wishes())
    assert isinstance(finished, Finished)
    return finished, frames


@pytest.mark.parametrize("name", GRAPHS)
def test_a_model_has_the_layers_weights_and_sizes_of_its_data(name):
    definition = Definition.model_validate(GRAPHS[name])
    shapes = [tuple(entry.shape) for entry in definition.inputs]
    reset_keras(0)
    model = as_model(definition, shapes)
    assert model.output_names == definition.output_names
    assert {layer.name for layer in model.layers} >= {layer.name for layer in definition.layers}
    table, problems = estimate(definition, first_rows(definition, None))
    assert problems == []
    for row in table:
        layer = model.get_layer(row.name)
        if row.is_exact:
            assert row.parameters == layer.count_params(), row.name
        if row.output.is_whole:
            assert row.output.dims == tuple(layer._inbound_nodes[0].outputs[0].shape[1:]), row.name


@QUIET
@pytest.mark.filterwarnings(TRACED)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_fitted_measured_exported_and_answers_as_keras_does(name, tmp_path):
    document = GRAPHS[name]
    finished, frames = fitted(job_for(document, tmp_path))
    publication = finished.publication
    assert publication.engine == "onnx", publication.parity.reason
    assert [spec.name for spec in publication.inputs] == [entry["name"] for entry in document["inputs"]]
    assert [spec.name for spec in publication.outputs] == document["outputs"]
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())["validation"]
    last = [frame.metrics for frame in frames if isinstance(frame, EpochEnded)][-1]
    assert evaluation["metrics"] == pytest.approx({key[4:]: value for key, value in last.items() if key.startswith("val_")})
    if len(document["outputs"]) > 1:
        assert {f"{output}_loss" for output in document["outputs"]} <= set(last)
        assert set(evaluation["outputs"]) == set(document["outputs"])

    plan = read_plan(publication.plan)
    tensors, warnings = RequestEncoder(plan).encode_rows(publication.example["rows"])
    engine = OnnxEngine(tmp_path / "run" / "model.onnx")
    answers = engine.run({entry.name: tensor for entry, tensor in zip(plan.inputs, tensors, strict=True)}, plan.output_names)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    expected = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    for answer, one in zip(answers, expected if isinstance(expected, list) else [expected], strict=True):
        np.testing.assert_allclose(answer, one, atol=1e-5)
    assert warnings == []


RESUMED = ["two outputs", "a nested row that is shared", "a memory that is handed on", "a transformer"]


@QUIET
@pytest.mark.filterwarnings(TRACED)
@pytest.mark.usefixtures("one_step_at_a_time")
@pytest.mark.parametrize("name", RESUMED)
def test_a_graph_that_is_left_in_the_midst_of_an_epoch_ends_as_if_it_had_not_been(name, tmp_path):
    document = GRAPHS[name]
    whole, frames = fitted(job_for(document, tmp_path / "whole"))
    left = job_for(document, tmp_path / "left")
    steps_done: list[None] = []

    def is_leaving() -> bool:
        steps_done.append(None)
        return len(steps_done) > 12

    reports: list[Frame] = []
    assert isinstance(story.fit(left, reports.append, Wishes(suspend=is_leaving)), Suspended)
    snapshot = [frame for frame in reports if isinstance(frame, SnapshotTaken)][-1]
    assert snapshot.step, "it was left in the midst of an epoch"
    resumed, more = fitted(job_for(document, tmp_path / "resumed", attempt=2, resume=[snapshot.path], run_id=left.run_id))
    assert epochs_of(more) == epochs_of(frames)[-len(epochs_of(more)) :]
    weights = [
        keras.saving.load_model(tmp_path / folder / "run" / "model.keras").get_weights() for folder in ("whole", "resumed")
    ]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*weights, strict=True))
    assert resumed.metrics == whole.metrics


def epochs_of(frames: list[Frame]) -> list[dict[str, float]]:
    return [frame.metrics for frame in frames if isinstance(frame, EpochEnded)]


def test_an_index_beyond_an_embedding_is_found_wherever_it_stands(tmp_path):
    words = np.arange(18).reshape(6, 3)
    embedding = {"type": "Embedding", "input_dim": 10, "output_dim": 2}
    inner = graph([{"name": "p", "shape": [3]}], [embedding | {"name": "vectors", "inbound": ["p"]}], "vectors")
    document = graph(
        [{"name": "words", "shape": [3], "dtype": "int32"}],
        [
            {"type": "Functional", "name": "inner", "inbound": ["words"], **inner},
            {"type": "Flatten", "name": "flat", "inbound": ["inner"]},
            dense("answer", ["flat"], 1, None),
        ],
        "answer",
    )
    dataset = store_arrays(tmp_path, words=words, y=np.arange(6.0))
    job = make_job(
        tmp_path / "run", dataset, definition=document, target="y",
        compile={"optimizer": {"type": "SGD"}, "loss": {"type": "MeanSquaredError"}},
    )  # fmt: skip
    with pytest.raises(InvalidInput, match=r"'vectors' has input_dim=10.*The data has 0 to 17. Set input_dim to 18"):
        story.fit(job, lambda frame: None, Wishes())


def test_an_output_that_does_not_fit_its_target_is_refused_by_name(tmp_path):
    document = graph([A], [dense("h", ["a"]), dense("p", ["h"], 2, None), dense("q", ["h"], 1, "sigmoid")], "p", "q")
    rows = np.random.default_rng(0).normal(size=(12, 4))
    dataset = store_arrays(tmp_path, a=rows, p=np.arange(12.0), q=np.arange(12) % 2)
    settings = {"optimizer": {"type": "SGD"}, "loss": {"p": {"type": "MeanSquaredError"}, "q": {"type": "BinaryCrossentropy"}}}
    job = make_job(tmp_path / "run", dataset, definition=document, compile=settings, target=None)
    with pytest.raises(InvalidInput) as caught:
        story.fit(job, lambda frame: None, Wishes())
    (problem,) = caught.value.problems
    assert problem.pointer == "/definition/outputs/0"
    assert "Output 'p' gives shape (2,) per row, but the target 'p' has shape (1,) per row" in problem.message


@QUIET
def test_the_columns_of_a_table_go_into_the_inputs_that_are_named(tmp_path):
    random = np.random.default_rng(0)
    columns = {"age": random.normal(size=40), "city": np.array(["Ulm", "Rome"] * 20), "pay": random.normal(size=40)}
    document = graph(
        [{"name": "left"}, {"name": "city"}],
        [
            dense("h", ["left"]),
            dense("g", ["city"]),
            {"type": "Multiply", "name": "m", "inbound": ["h", "g"]},
            dense("o", ["m"], 1, None),
        ],
        "o",
    )
    settings = {"optimizer": {"type": "SGD"}, "loss": {"type": "MeanSquaredError"}}
    job = make_job(
        tmp_path / "run", store_table(tmp_path, columns), definition=document, compile=settings, target="pay", publish=False
    )
    _, frames = fitted(job)
    (planned,) = (frame for frame in frames if isinstance(frame, Planned))
    assert planned.input_shapes == [[1], [3]]
    assert planned.features["city"] == "one of 2 values, one-hot; for input 'city'"
