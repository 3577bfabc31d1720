"""Evaluations as a worker asks for them: of a fitted model's files, through a real trainer process."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.infra.disk import is_full_disk
from service.spec.compile import BinaryCrossentropy
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import (
    DatasetFiles,
    EpochEnded,
    EvaluateJob,
    Failed,
    Finished,
    FitJob,
    PhaseStarted,
    Stop,
    Suspend,
    Suspended,
)
from service.training.examples import Wanted, encode
from service.training.reading import load
from tests.unit.training.conftest import make_job, store_arrays, store_table
from tests.unit.training.test_interruptions import disk_of

COMPILE = {
    "optimizer": {"type": "Adam"},
    "loss": {"type": "BinaryCrossentropy"},
    "metrics": [{"type": "accuracy"}, {"type": "AUC"}],
}
AVERAGING = COMPILE | {"optimizer": {"type": "AdamW", "use_ema": True, "ema_momentum": 0.9}}
STOPPING = {"type": "EarlyStopping", "monitor": "val_loss", "patience": 1, "restore_best_weights": True}
LAYERS = {"layers": [{"type": "Dense", "units": 8, "activation": "relu"}, {"type": "Dense", "units": 1, "activation": "sigmoid"}]}
ROWS, VALIDATION_ROWS = 200, 60


def columns(rows: slice) -> dict[str, Any]:
    random = np.random.default_rng(2)
    age, weight = random.normal(40, 10, ROWS), random.random(ROWS)
    city = random.choice(["Ulm", "Rome"], ROWS)
    sick = np.where(age + 10 * (city == "Ulm") + random.normal(0, 5, ROWS) > 45, "yes", "no")
    whole = {"age": age, "city": city, "weight": weight, "sick": sick}
    return {name: values[rows].tolist() for name, values in whole.items()}


TRAINING, VALIDATION = slice(0, ROWS - VALIDATION_ROWS), slice(ROWS - VALIDATION_ROWS, ROWS)


def stored(folder: Path, rows: slice) -> DatasetFiles:
    folder.mkdir(parents=True, exist_ok=True)
    return store_table(folder, columns(rows))


def fit_job(folder: Path, dataset: DatasetFiles | None = None, **fields: Any) -> FitJob:
    defaults = {"definition": LAYERS, "compile": COMPILE, "target": "sick", "publish": False}
    validation = {"validation_dataset": stored(folder / "validation", VALIDATION)}
    return make_job(folder / "fit", dataset or stored(folder / "training", TRAINING), **(defaults | validation | fields))


def evaluate_job(folder: Path, dataset: DatasetFiles, sample_weight: str | None = None, **fields: Any) -> EvaluateJob:
    """Of the model that was fitted in ``folder / "fit"``."""
    directory = folder / "evaluation"
    directory.mkdir()
    defaults = {
        "run_id": f"run_{time.monotonic_ns()}",
        "attempt": 1, "directory": str(directory), "model": str(folder / "fit" / "model.keras"),
        "plan": read(folder / "fit" / "plan.json"), "baselines": read(folder / "fit" / "evaluation.json")["baselines"],
        "dataset": dataset, "batch_size": 32, "sample_weight": sample_weight,
    }  # fmt: skip
    return EvaluateJob(**(defaults | fields))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


@pytest.mark.parametrize(
    ("compile_spec", "fit"),
    [
        (COMPILE, {"epochs": 3}),
        (AVERAGING, {"epochs": 3}),
        (COMPILE, {"epochs": 30, "batch_size": 8, "callbacks": [STOPPING]}),
        (AVERAGING, {"epochs": 30, "batch_size": 8, "callbacks": [STOPPING]}),
        (COMPILE, {"epochs": 3, "sample_weight": "weight"}),
        (COMPILE, {"epochs": 3, "class_weight": "balanced"}),
    ],
)
def test_an_evaluation_gives_the_numbers_of_the_fit_on_the_same_rows(trainer, tmp_path, compile_spec, fit):
    fitted = trainer.run(fit_job(tmp_path, compile=compile_spec, fit=fit))[-1]
    assert isinstance(fitted, Finished), fitted
    of_fit = read(tmp_path / "fit" / "evaluation.json")
    job = evaluate_job(
        tmp_path, stored(tmp_path / "validation", VALIDATION), fit.get("sample_weight"), batch_size=fit.get("batch_size", 32)
    )
    frames = trainer.run(job)
    assert [frame.phase for frame in frames if isinstance(frame, PhaseStarted)] == ["loading", "encoding", "evaluating"]
    finished = frames[-1]
    assert isinstance(finished, Finished), finished
    evaluation = read(tmp_path / "evaluation" / "evaluation.json")
    assert evaluation == {"baselines": of_fit["baselines"], "test": of_fit["validation"]}
    assert finished.metrics == of_fit["validation"]["metrics"]
    assert [file.name for file in finished.files] == ["evaluation.json"]
    if compile_spec == COMPILE and "callbacks" not in fit:  # else the weights at the end are not those of the last epoch
        expected = {name: fitted.metrics[f"val_{name}"] for name in finished.metrics}
        assert finished.metrics == pytest.approx(expected, rel=1e-6)


def test_the_fit_measures_its_test_dataset_by_the_same_plan(trainer, tmp_path):
    job = fit_job(tmp_path, test_dataset=stored(tmp_path / "validation", VALIDATION), fit={"epochs": 2})
    assert isinstance(trainer.run(job)[-1], Finished)
    document = read(tmp_path / "fit" / "evaluation.json")
    assert document["test"] == document["validation"]
    assert document["test"]["rows"] == VALIDATION_ROWS
    assert document["test"]["baseline"]["name"] == "majority class"


def test_without_a_stored_baseline_the_rows_themselves_give_one(trainer, tmp_path):
    trainer.run(fit_job(tmp_path, fit={"epochs": 1}))
    dataset = stored(tmp_path / "validation", VALIDATION)
    assert isinstance(trainer.run(evaluate_job(tmp_path, dataset, baselines=None))[-1], Finished)
    share = np.mean(np.array(columns(VALIDATION)["sick"]) == "no")
    frequencies = read(tmp_path / "evaluation" / "evaluation.json")["baselines"]["output"]["frequencies"]
    assert frequencies == pytest.approx([share, 1 - share])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"age": None}, "has no column 'age'"),
        ({"sick": ["no"] * 59 + ["unwell"]}, "class 'unwell' in row 59"),
    ],
)
def test_a_dataset_that_does_not_do_is_bad_data(trainer, tmp_path, changes, words):
    trainer.run(fit_job(tmp_path, fit={"epochs": 1}))
    kept = {name: values for name, values in (columns(VALIDATION) | changes).items() if values is not None}
    (tmp_path / "other").mkdir()
    failed = trainer.run(evaluate_job(tmp_path, store_table(tmp_path / "other", kept)))[-1]
    assert isinstance(failed, Failed)
    assert failed.type == "bad_data"
    assert words in failed.message


def test_a_target_of_another_shape_than_the_outputs_is_bad_data(trainer, tmp_path):
    x, y = np.random.default_rng(0).random((2, 40, 1), dtype=np.float32)
    settings = {"optimizer": {"type": "Adam"}, "loss": {"type": "MeanSquaredError"}}
    definition = {"layers": [{"type": "Dense", "units": 1}]}
    (tmp_path / "wide").mkdir()
    job = fit_job(
        tmp_path, dataset=store_arrays(tmp_path, x=x, y=y), definition=definition, compile=settings, target="y",
        validation_dataset=None, fit={"epochs": 1},
    )  # fmt: skip
    assert isinstance(trainer.run(job)[-1], Finished)
    wide = store_arrays(tmp_path / "wide", x=x, y=np.ones((40, 2), np.float32))
    failed = trainer.run(evaluate_job(tmp_path, wide))[-1]
    assert isinstance(failed, Failed)
    assert (failed.type, "(2,)" in failed.message) == ("bad_data", True)


@pytest.mark.parametrize("keep", ["none", "last"])
def test_a_stopped_evaluation_leaves_nothing(trainer, tmp_path, keep):
    trainer.run(fit_job(tmp_path, fit={"epochs": 1}))
    job = evaluate_job(tmp_path, stored(tmp_path / "validation", VALIDATION))
    trainer.send(Stop(run_id=job.run_id, attempt=job.attempt, keep=keep))
    finished = trainer.run(job)[-1]
    assert isinstance(finished, Finished)
    assert (finished.outcome, finished.metrics, finished.files) == ("stopped", {}, [])
    assert not (tmp_path / "evaluation" / "evaluation.json").exists()


def test_a_suspended_evaluation_is_left_to_somebody_else(trainer, tmp_path):
    trainer.run(fit_job(tmp_path, fit={"epochs": 1}))
    job = evaluate_job(tmp_path, stored(tmp_path / "validation", VALIDATION))
    trainer.send(Suspend(run_id=job.run_id, attempt=job.attempt))
    assert trainer.run(job)[-1] == Suspended()


def test_a_stopped_fit_that_keeps_its_weights_has_their_scores(trainer, tmp_path):
    job = fit_job(tmp_path, fit={"epochs": 100_000})
    trainer.send(job)
    while not isinstance(trainer.receive(), EpochEnded):
        pass
    trainer.send(Stop(run_id=job.run_id, attempt=job.attempt, keep="last"))
    while not isinstance(finished := trainer.receive(), Finished | Failed):
        pass
    assert {"model.keras", "evaluation.json"} <= {file.name for file in finished.files}
    assert read(tmp_path / "fit" / "evaluation.json")["validation"]["rows"] == VALIDATION_ROWS


def test_a_full_disk_under_the_encoded_rows_is_told_and_leaves_none_of_them(trainer, tmp_path):
    cache = tmp_path / "cache"
    with disk_of(1, cache):
        rows = {"x": np.ones((300_000, 1), np.float32), "y": (np.arange(300_000) % 2).astype(np.int32)}
        dataset = store_arrays(tmp_path, **rows)
        fields = {"target": "y", "validation_dataset": None, "cache_directory": str(cache), "cache_bytes": 10**9}
        failed = trainer.run(fit_job(tmp_path / "full", dataset, fit={"epochs": 1, "batch_size": 4096}, **fields))[-1]
        assert isinstance(failed, Failed)
        assert failed.type == "disk_full"
        assert list(cache.glob("*/*")) == []
        finished = trainer.run(fit_job(tmp_path / "small", fit={"epochs": 1}, **(fields | {"target": "sick"})))[-1]
        assert isinstance(finished, Finished), finished
        assert len(list(cache.glob("*/*"))) == 1


def test_weights_of_classes_meet_a_full_disk_as_all_rows_do(tmp_path):
    (tmp_path / "sample_weight.npy").symlink_to("/dev/full")
    data = store_table(tmp_path, {"x": list(range(9999)), "y": [0, 1, 1] * 3333})
    wish = Wanted(FeaturesSpec(), "y", ["input"], {"output": BinaryCrossentropy()}, FitSpec(class_weight="balanced"), 0)
    with pytest.raises(OSError, match="No space left") as caught:
        encode(load(data), None, wish, tmp_path)
    assert is_full_disk(caught.value)
