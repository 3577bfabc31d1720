"""Functional models in real Keras: they are built, fitted, resumed, scripted and served as data says."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from service.features.encoding import encode_rows
from service.features.plan import read_plan
from service.serving.engine import OnnxEngine
from service.spec.definition import Definition
from service.spec.frames import EpochEnded, Finished, FitJob, Frame
from service.spec.summary import estimate, first_rows
from service.training import job as story
from service.training.building import as_model, reset_keras
from service.training.wishes import Wishes
from tests.graphs import GRAPHS
from tests.unit.training.conftest import make_job, store_arrays
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
    tensors, warnings = encode_rows(plan, publication.example["rows"])
    engine = OnnxEngine(tmp_path / "run" / "model.onnx")
    answers = engine.run({entry.name: tensor for entry, tensor in zip(plan.inputs, tensors, strict=True)}, plan.output_names)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    expected = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    for answer, one in zip(answers, expected if isinstance(expected, list) else [expected], strict=True):
        np.testing.assert_allclose(answer, one, atol=1e-5)
    assert warnings == []
