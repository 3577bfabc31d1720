"""Batch predictions as a worker asks for them: of a fitted model's files, through a real trainer process."""

import json
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet
import pytest

from service.features.answers import to_answers
from service.features.plan import ArrayInput, FeaturePlan, Label, Target, read_plan
from service.features.requests import RequestEncoder
from service.serving.engine import OnnxEngine
from service.spec.frames import (
    DatasetFiles,
    Finished,
    Frame,
    LogLine,
    PhaseStarted,
    PredictJob,
    Progress,
    Resumed,
    RowsPlanned,
    SnapshotTaken,
    Stop,
    Suspend,
    Suspended,
)
from service.training.predicting import names_beside
from service.training.predictors import BLOCK_BYTES, MAX_BLOCK_ROWS, block_rows
from tests.graphs import dense
from tests.unit.training.conftest import make_job, store_arrays, store_table

ADAM = {"type": "Adam", "learning_rate": 0.01}
ROWS = 1500
"""More than a block."""
MANY = 1_000_000
"""Rows that take some seconds."""


def sales() -> dict[str, Any]:
    random = np.random.default_rng(1)
    sizes = random.normal(50, 10, ROWS)
    return {
        "size": [None if number % 9 == 0 else size for number, size in enumerate(sizes.tolist())],
        "rooms": random.integers(1, 5, ROWS).tolist(),
        "city": random.choice(["Ulm", "Rome"], ROWS).tolist(),
        "garden": (random.random(ROWS) < 0.5).tolist(),
        "sold": [date(2026, 1, 1) + timedelta(days=number % 200) for number in range(ROWS)],
        "about": [f"{'sunny' if number % 3 else 'dark'} flat, number {number % 90}" for number in range(ROWS)],
        "dear": np.where(sizes > 50, "yes", "no").tolist(),
        "price": (sizes * 3).tolist(),
    }


TWO_BY_TWO = {
    "inputs": [{"name": "facts"}, {"name": "words"}],
    "layers": [
        dense("a", ["facts"]),
        dense("b", ["words"]),
        {"type": "Concatenate", "name": "both", "inbound": ["a", "b"]},
        dense("price", ["both"], 1, None),
        dense("dear", ["both"], 1, "sigmoid"),
    ],
    "outputs": ["price", "dear"],
}


def fitted(trainer, folder: Path, dataset: DatasetFiles, layers: Any, loss: Any, **fields: Any) -> Path:
    """A folder with the files of a fit."""
    definition = layers if isinstance(layers, dict) else {"layers": layers}
    losses = {name: {"type": loss[name]} for name in loss} if isinstance(loss, dict) else {"type": loss}
    compiled = {"optimizer": ADAM, "loss": losses}
    finished = trainer.run(make_job(folder / "fit", dataset, definition=definition, compile=compiled, **fields))[-1]
    assert isinstance(finished, Finished), finished
    return folder / "fit"


def predict_job(fit: Path, dataset: DatasetFiles, name: str = "result", **fields: Any) -> PredictJob:
    directory = fit.parent / name
    directory.mkdir()
    defaults = {
        "run_id": f"run_{time.monotonic_ns()}", "attempt": 1, "directory": str(directory),
        "model": str(fit / "model.keras"), "graph": str(fit / "model.onnx"),
        "plan": json.loads((fit / "plan.json").read_bytes()), "dataset": dataset, "columns": [], "format": "parquet",
    }  # fmt: skip
    return PredictJob(**(defaults | fields))


def result_of(frame: Frame) -> Path:
    assert isinstance(frame, Finished), frame
    (file,) = frame.files
    return Path(file.path)


def rows_of(frame: Frame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(result_of(frame)).to_pylist()
    return rows


def as_answer(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns of one row as ``:predict`` answers it."""
    probabilities = {name.removeprefix("probability_"): value for name, value in columns.items() if name.startswith("prob")}
    rest = {name: value for name, value in columns.items() if not name.startswith("prob")}
    return rest | ({"probabilities": probabilities} if probabilities else {})


def flat(answer: Any) -> tuple[list[float], list[Label]]:
    """The numbers of an answer, and everything else."""
    if isinstance(answer, dict | list):
        parts = [flat(part) for part in (answer.values() if isinstance(answer, dict) else answer)]
        return [number for numbers, _ in parts for number in numbers], [other for _, others in parts for other in others]
    return ([answer], []) if isinstance(answer, float) else ([], [answer])


def assert_same(answers: list[Any], others: list[Any]) -> None:
    assert len(answers) == len(others)
    for answer, other in zip(answers, others, strict=True):
        (numbers, rest), (other_numbers, other_rest) = flat(answer), flat(other)
        assert numbers == pytest.approx(other_numbers, abs=1e-5)
        assert rest == other_rest


def native(fit: Path, rows: list[Any]) -> list[dict[str, Any]]:
    """What ``:predict`` answers."""
    plan = read_plan(json.loads((fit / "plan.json").read_bytes()))
    tensors, _ = RequestEncoder(plan).encode_rows(rows)
    named = {entry.name: tensor for entry, tensor in zip(plan.inputs, tensors, strict=True)}
    return to_answers(plan, OnnxEngine(fit / "model.onnx").run(named, plan.output_names))


def as_rows(columns: dict[str, Any], *without: str) -> list[dict[str, Any]]:
    kept = {name: values for name, values in columns.items() if name not in without}
    rows = [dict(zip(kept, row, strict=True)) for row in zip(*kept.values(), strict=True)]
    return [row | {"sold": row["sold"].isoformat()} for row in rows]


@pytest.mark.parametrize("engine", ["onnx", "keras"])
def test_rows_of_every_kind_of_column_are_answered_as_one_by_one(trainer, tmp_path, engine):
    columns = sales()
    layers = [{"type": "Dense", "units": 6, "activation": "relu"}, {"type": "Dense", "units": 1, "activation": "sigmoid"}]
    without = {name: values for name, values in columns.items() if name != "price"}
    fit = fitted(trainer, tmp_path, store_table(tmp_path, without), layers, "BinaryCrossentropy", target="dear")
    new = {name: values for name, values in without.items() if name != "dear"}
    graph = {"graph": None} if engine == "keras" else {}
    frames = trainer.run(predict_job(fit, store_table(tmp_path, new), columns=["rooms", "sold"], **graph))
    assert [frame.phase for frame in frames if isinstance(frame, PhaseStarted)] == ["loading", "predicting"]
    rows = rows_of(frames[-1])
    assert list(rows[0]) == ["rooms", "sold", "label", "probability_no", "probability_yes"]
    assert [(row.pop("rooms"), row.pop("sold")) for row in rows] == list(zip(columns["rooms"], columns["sold"], strict=True))
    assert_same([as_answer(row) for row in rows], native(fit, as_rows(new)))


def test_several_inputs_and_outputs_are_answered_as_one_by_one(trainer, tmp_path):
    columns = sales()
    dataset = store_table(tmp_path, columns)
    features = {"inputs": {"words": "about"}, "columns": {"about": {"type": "text"}}}
    loss = {"price": "MeanSquaredError", "dear": "BinaryCrossentropy"}
    target = {"price": "price", "dear": "dear"}
    fit = fitted(trainer, tmp_path, dataset, TWO_BY_TWO, loss, target=target, features=features)
    rows = rows_of(trainer.run(predict_job(fit, dataset))[-1])
    assert list(rows[0]) == ["price_value", "dear_label", "dear_probability_no", "dear_probability_yes"]
    answers = [
        {
            "outputs": {
                name: as_answer({key.removeprefix(f"{name}_"): value for key, value in row.items() if key.startswith(name)})
                for name in loss
            }
        }
        for row in rows
    ]
    assert_same(answers, native(fit, as_rows(columns, "price", "dear")))


def test_arrays_are_answered_with_vectors_and_labels(trainer, tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 4, 3)).astype(np.float32)
    dataset = store_arrays(tmp_path, x=x, y=(random.random((ROWS, 3)) < 0.5).astype(np.int32))
    layers = [{"type": "Flatten"}, {"type": "Dense", "units": 3, "activation": "sigmoid"}]
    (tmp_path / "labels").mkdir()
    fit = fitted(trainer, tmp_path / "labels", dataset, layers, "BinaryCrossentropy", target="y")
    rows = rows_of(trainer.run(predict_job(fit, dataset))[-1])
    assert_same([as_answer(row) for row in rows], native(fit, x.tolist()))
    (tmp_path / "vectors").mkdir()
    vectors = store_arrays(tmp_path / "vectors", x=x, y=random.normal(size=(ROWS, 4, 2)).astype(np.float32))
    layers = [{"type": "Dense", "units": 2}]
    fit = fitted(trainer, tmp_path / "vectors", vectors, layers, "MeanSquaredError", target="y")
    rows = rows_of(trainer.run(predict_job(fit, vectors))[-1])
    assert_same(rows, native(fit, x.tolist()))


@pytest.fixture(scope="module")
def many(trainer, tmp_path_factory) -> tuple[Path, DatasetFiles]:
    """A fit, and very many rows to predict."""
    folder = tmp_path_factory.mktemp("many")
    numbers = np.random.default_rng(0).normal(size=(MANY, 2)).astype(np.float32)
    dataset = store_arrays(folder, x=numbers, y=numbers.sum(axis=1))
    (folder / "few").mkdir()
    few = store_arrays(folder / "few", x=numbers[:64], y=numbers[:64].sum(axis=1))
    return fitted(trainer, folder, few, [{"type": "Dense", "units": 1}], "MeanSquaredError", target="y"), dataset


@pytest.fixture(scope="module")
def undisturbed(trainer, many) -> dict[str, bytes]:
    return {
        form: result_of(trainer.run(predict_job(*many, f"undisturbed-{form}", columns=["y"], format=form))[-1]).read_bytes()
        for form in ("parquet", "csv")
    }


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_another_attempt_goes_on_after_the_parts_and_ends_with_the_same_bytes(trainer, many, undisturbed, form):
    whole = trainer.run(predict_job(*many, f"whole-{form}", columns=["y"], format=form, snapshot_seconds=0.01))
    taken = [frame for frame in whole if isinstance(frame, SnapshotTaken)]
    assert len(taken) > 2
    assert result_of(whole[-1]).read_bytes() == undisturbed[form]
    Path(taken[1].path).write_bytes(b"damaged")
    for place, parts in enumerate(([], taken[:1], taken)):
        paths = [part.path for part in parts]
        job = predict_job(*many, f"again-{form}-{place}", columns=["y"], format=form, parts=paths, attempt=2)
        frames = trainer.run(job)
        (resumed,) = (frame for frame in frames if isinstance(frame, Resumed))
        assert resumed.from_step == (taken[0].step if parts else 0), "what follows a damaged part is done again"
        assert result_of(frames[-1]).read_bytes() == undisturbed[form]
        assert [frame.level for frame in frames if isinstance(frame, LogLine)] == (["warning"] if parts == taken else [])


def test_progress_counts_rows_and_a_suspended_prediction_goes_on(trainer, many, undisturbed):
    job = predict_job(*many, "suspended", columns=["y"])
    trainer.send(job)
    while not isinstance(frame := trainer.receive(), Progress):
        pass
    assert (frame.epoch, frame.step % MAX_BLOCK_ROWS) == (1, 0)
    trainer.send(Suspend(run_id=job.run_id, attempt=1))
    frames = [trainer.receive()]
    while not isinstance(frames[-1], Suspended):
        assert not isinstance(frames[-1], Finished), "it was asked in the midst"
        frames.append(trainer.receive())
    (part,) = (frame for frame in frames if isinstance(frame, SnapshotTaken))
    again = trainer.run(predict_job(*many, "resumed", columns=["y"], attempt=2, parts=[part.path]))
    assert [frame.from_step for frame in again if isinstance(frame, Resumed)] == [part.step]
    assert result_of(again[-1]).read_bytes() == undisturbed["parquet"]
    assert [frame.steps for frame in again if isinstance(frame, RowsPlanned)] == [MANY, MANY]
    steps = [frame.step for frame in again if isinstance(frame, Progress)]
    assert (min(steps) >= part.step, max(steps)) == (True, MANY), "it never seems to go back"


@pytest.mark.parametrize("keep", ["none", "last"])
def test_a_stopped_prediction_leaves_nothing(trainer, many, keep):
    job = predict_job(*many, f"stopped-{keep}")
    trainer.send(job)
    while not isinstance(trainer.receive(), Progress):
        pass
    trainer.send(Stop(run_id=job.run_id, attempt=1, keep=keep))
    while not isinstance(finished := trainer.receive(), Finished):
        pass
    assert (finished.outcome, finished.files) == ("stopped", [])


def test_rows_that_cannot_be_predicted_are_null_and_counted(trainer, tmp_path):
    numbers = np.random.default_rng(0).normal(size=200)
    layers = [{"type": "Dense", "units": 1, "kernel_initializer": "ones"}]
    dataset = store_table(tmp_path, {"a": numbers, "b": numbers[::-1], "y": numbers * 2})
    features = {"columns": {name: {"type": "number", "scale": "none"} for name in "ab"}}
    fit = fitted(trainer, tmp_path, dataset, layers, "MeanSquaredError", target="y", features=features)
    a, b = [1.0, 1e300, 3e38, None, 1.0], [1.0, 1.0, 3e38, 1.0, 1.0]
    frames = trainer.run(predict_job(fit, store_table(tmp_path, {"a": a, "b": b, "value": list("vwxyz")}), columns=["value"]))
    rows = rows_of(frames[-1])
    assert [row["value"] for row in rows] == list("vwxyz")
    assert [row["predicted_value"] is None for row in rows] == [False, True, True, False, False]
    assert rows[0]["predicted_value"] == rows[4]["predicted_value"]
    *_, planned = (frame for frame in frames if isinstance(frame, RowsPlanned))
    assert any("not finite for 1 row, such as row 2" in warning for warning in planned.warnings)
    assert any("too large, such as row 1;" in warning for warning in planned.warnings)


def test_answers_step_aside_for_columns_of_their_names():
    assert names_beside(["label"], ["label", "probability_a"]) == ["predicted_label", "probability_a"]
    assert names_beside(["v", "predicted_v"], ["v"]) == ["predicted_predicted_v"]
    assert names_beside([], ["a_value", "a_value"]) == ["a_value", "predicted_a_value"]


@pytest.mark.parametrize(("width", "units", "carried"), [(2, 1, 0), (3000, 1, 0), (100, 100_000, 0), (2, 1, 200_000)])
def test_a_block_is_small_and_quick_whatever_the_model(width, units, carried):
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(units)])
    plan = FeaturePlan(
        inputs=[ArrayInput(name="i", array="x", shape=[width], dtype="float32")],
        targets=[Target(output="o", columns=["y"], encoding="number")],
    )
    rows = block_rows(model, plan, carried)
    assert 1 <= rows <= MAX_BLOCK_ROWS
    assert rows * (width * 4 + carried) <= BLOCK_BYTES
    assert rows * width * units <= 2e8
