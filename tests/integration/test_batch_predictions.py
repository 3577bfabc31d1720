"""Batch predictions as runs: what is accepted and refused, what they hold, and what becomes of their parts and results."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from service.infra.artifacts import LocalArtifactStore
from service.infra.database import Database
from service.models.tables import Alias, Model, Version
from service.runs.garbage import list_references
from service.runs.tables import Run
from service.settings import Settings
from service.spec.frames import (
    Finished,
    OutputFile,
    PhaseStarted,
    PredictJob,
    Progress,
    Resumed,
    RowsPlanned,
    SnapshotTaken,
    Suspended,
)
from service.worker.trainers import TrainerGone
from tests.fakes.trainers import FakeTrainer
from tests.integration.test_pipeline import Worker

NUMBER = {"type": "number", "missing": 0.0, "offset": 0.0, "divisor": 1.0}
COLUMNS = [
    NUMBER | {"column": "age"},
    NUMBER | {"column": "member", "is_boolean": True},
    {"type": "category", "column": "city", "vocabulary": ["Rome", "Ulm"], "encoding": "one_hot"},
    {"type": "category", "column": "grade", "vocabulary": [1, 2], "encoding": "index"},
    {"type": "datetime", "column": "day", "parts": ["days"], "first_day": 0, "mean_days": 1.0, "deviation_days": 1.0},
    {"type": "text", "column": "note", "vocabulary": ["rain"], "encoding": "multi_hot"},
    {"type": "excluded", "column": "id", "reason": "it is an id"},
]
TARGETS = [{"output": "output", "columns": ["sick"], "encoding": "binary", "classes": ["no", "yes"]}]
TABLE_PLAN = {"inputs": [{"kind": "table", "name": "input", "columns": COLUMNS}], "targets": TARGETS}
ARRAY_PLAN = {
    "inputs": [{"kind": "array", "name": "input", "array": "x", "shape": [2], "dtype": "float32"}],
    "targets": TARGETS,
}
ROW = {"age": 1.5, "member": True, "city": "Ulm", "grade": 2, "day": "2026-01-31", "note": "it rains"}
NAMES = ("model.keras", "model.onnx", "plan.json")
FINISHED = Finished(outcome="completed", metrics={}, files=[], publication=None, publish_reason=None)


@pytest.fixture(autouse=True)
def model(http: httpx.Client, database: Database, settings: Settings) -> None:
    """The model ``m`` with a version for tables and one for arrays."""
    layers = [{"type": "Dense", "units": 1, "activation": "sigmoid"}]
    body = {"name": "m", "definition": {"layers": layers}, "compile": {"optimizer": "sgd", "loss": "binary_crossentropy"}}
    assert http.post("/api/models", json=body).status_code == 201
    publish(database, settings, 1, TABLE_PLAN)
    publish(database, settings, 2, ARRAY_PLAN, engine="keras")


def store_of(settings: Settings) -> LocalArtifactStore:
    """Where the API finds files."""
    return LocalArtifactStore(settings.data_dir.absolute() / "artifacts")


def stored(settings: Settings, content: bytes) -> str:
    path = settings.data_dir / "file"
    path.write_bytes(content)
    return store_of(settings).put_file(path)


def publish(database: Database, settings: Settings, number: int, plan: dict[str, Any], engine: str = "onnx") -> None:
    names = NAMES if engine == "onnx" else ("model.keras", "plan.json")
    content = {"model.keras": f"{number}".encode(), "model.onnx": b"graph", "plan.json": b"{}"}
    files = {name: {"sha256": stored(settings, content[name]), "size_bytes": 1, "media_type": "x"} for name in names}
    with database.write() as session:
        model = session.query(Model).filter_by(name="m").one()
        session.add(
            Version(
                model_id=model.id, number=number, run_id="run_0", revision=1, engine=engine, metrics={}, parity={}, plan=plan,
                inputs=[], outputs=[], example={}, parameters=1, files=files,
            )
        )  # fmt: skip


def upload(http: httpx.Client, **body: Any) -> str:
    answer = http.post("/api/datasets", json={"name": "d", **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture
def dataset(http: httpx.Client) -> str:
    """New rows, whose truth nobody knows."""
    return upload(http, rows=[ROW | {"id": f"={number}"} for number in range(3)])


def ask(http: httpx.Client, dataset: str, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return http.post("/api/batch-predictions", json={"model": "m", "version": 1, "dataset": dataset, **body}, headers=headers)


def accepted(http: httpx.Client, dataset: str, **body: Any) -> dict[str, Any]:
    answer = ask(http, dataset, **body)
    assert answer.status_code == 202, answer.text
    run: dict[str, Any] = answer.json()
    return run


def problem(answer: httpx.Response) -> tuple[str, str]:
    """Where the first mistake is, and everything that is said of it."""
    assert answer.status_code == 422, answer.text
    (first, *_) = answer.json()["errors"]
    return first["pointer"], f"{first['message']} {first['received']} {first['expected']} {first['fix']}"


def content(http: httpx.Client, run: dict[str, Any]) -> httpx.Response:
    return http.get(f"/api/batch-predictions/{run['id']}/content")


# Accepting


def test_a_batch_prediction_is_a_run_that_keeps_its_model_and_dataset(http, dataset):
    answer = ask(http, dataset, columns=["id"], format="csv", tags=["nightly"], priority=5)
    assert answer.status_code == 202, answer.text
    run = answer.json()
    assert answer.headers["Location"] == f"/api/runs/{run['id']}"
    assert (run["kind"], run["state"], run["predicts_with"], run["target"]) == ("predict", "queued", 1, "sick")
    assert (run["fit"], run["tags"], run["priority"]) == ({"columns": ["id"], "format": "csv"}, ["nightly"], 5)
    assert run["publish"]["state"] == "skipped"
    assert http.delete("/api/models/m").status_code == 409
    assert http.delete(f"/api/datasets/{dataset}").status_code == 409
    assert [item["id"] for item in http.get("/api/runs", params={"kind": "predict"}).json()["items"]] == [run["id"]]
    assert http.get("/api/runs", params={"kind": "fit"}).json()["items"] == []
    assert http.post(f"/api/runs/{run['id']}:cancel").json()["state"] == "cancelled"
    assert http.delete(f"/api/datasets/{dataset}").status_code == 204
    assert content(http, run).status_code == 404


def test_an_alias_counts_as_it_stands_when_the_request_is_accepted(http, database, dataset):
    with database.write() as session:
        model = session.query(Model).filter_by(name="m").one()
        session.add(Alias(model_id=model.id, name="production", number=1))
    run = accepted(http, dataset, version=None, alias="production")
    with database.write() as session:
        session.execute(update(Alias).values(number=2))
    assert http.get(f"/api/runs/{run['id']}").json()["predicts_with"] == 1
    assert ask(http, dataset, version=None, alias="staging").status_code == 404
    assert problem(ask(http, dataset, alias="production"))[0] == ""


def test_the_same_key_gives_the_same_run_again(http, dataset):
    first = accepted(http, dataset, key="once")
    assert accepted(http, dataset, key="once")["id"] == first["id"]
    assert ask(http, dataset, key="once", format="csv").status_code == 422


def test_what_is_not_there_cannot_predict_or_be_predicted(http, dataset):
    assert ask(http, "ds_gone").status_code == 404
    assert ask(http, dataset, model="gone").status_code == 404
    assert ask(http, dataset, version=9).status_code == 404


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"age": None}, ("no column 'age'", "column 'age'")),
        ({"note": None, "notes": "rain"}, ("no column 'note'", "Did you mean 'notes'?")),
        ({"age": "old"}, ("'age'", "category", "number, integer")),
        ({"age": True}, ("'age'", "boolean", "number, integer")),
        ({"city": 5}, ("'city'", "integer", "category, text")),
        ({"grade": "two"}, ("'grade'", "category", "number, integer, boolean")),
        ({"day": 20260131}, ("'day'", "integer", "datetime")),
        ({"note": 1.5}, ("'note'", "number", "category, text")),
    ],
)
def test_a_dataset_needs_the_columns_of_the_plan_and_their_types(http, changes, words):
    row = {name: value for name, value in (ROW | changes).items() if value is not None}
    where, what = problem(ask(http, upload(http, rows=[row])))
    assert where == "/dataset"
    for word in words:
        assert word in what


@pytest.mark.parametrize("changes", [{"age": 3}, {"member": 1}, {"grade": True}, {"sick": "yes"}])
def test_columns_that_come_to_the_same_are_accepted(http, changes):
    accepted(http, upload(http, rows=[ROW | changes]))


def test_a_column_without_any_value_does_for_every_kind(http):
    accepted(http, upload(http, rows=[{"other": 1} | dict.fromkeys(ROW)]))


def test_arrays_need_the_shape_of_the_plan(http, dataset):
    accepted(http, upload(http, x=[[1.0, 2.0]]), version=2)
    assert "(3,)" in problem(ask(http, upload(http, x=[[1.0, 2.0, 3.0]]), version=2))[1]
    assert "no array 'x'" in problem(ask(http, upload(http, arrays={"z": [[1.0, 2.0]]}), version=2))[1]
    assert "holds texts" in problem(ask(http, upload(http, arrays={"x": ["a", "b"]}), version=2))[1]
    assert "fitted with arrays" in problem(ask(http, dataset, version=2))[1]
    assert "fitted with a table" in problem(ask(http, upload(http, x=[[1.0, 2.0]])))[1]


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"columns": ["id", "ctiy"]}, "/columns/1", "Did you mean 'city'?"),
        ({"columns": ["id", "id"]}, "/columns", "'id' is named twice"),
        ({"columns": "id"}, "/columns", "list"),
        ({"format": "xlsx"}, "/format", "parquet"),
        ({"batch_size": 5}, "/batch_size", ""),
    ],
)
def test_a_request_that_cannot_be_done_is_refused_with_its_place(http, dataset, body, pointer, words):
    where, what = problem(ask(http, dataset, **body))
    assert where == pointer
    assert words in what


def test_only_so_many_may_wait(http, dataset, app):
    app.api.state.settings = app.api.state.settings.model_copy(update={"max_queued_runs": 1})
    accepted(http, dataset)
    assert ask(http, dataset).status_code == 429


# Doing


@pytest.fixture
def worker(database: Database, settings: Settings) -> Worker:
    return Worker(database, settings, settings.data_dir)


def done(worker: Worker, trainer: FakeTrainer) -> Run:
    """The only waiting run after the worker has done it."""
    return worker.do_next(trainer)[0]


def test_a_worker_asks_its_trainer_for_what_was_accepted(http, worker, dataset):
    accepted(http, dataset, columns=["id"], format="csv")
    trainer = FakeTrainer(PhaseStarted(phase="predicting"), FINISHED)
    assert done(worker, trainer).state == "succeeded"
    job = trainer.commands[0]
    assert isinstance(job, PredictJob)
    assert (job.columns, job.format, job.parts, job.dataset.kind) == (["id"], "csv", [], "table")
    assert (Path(job.model).read_bytes(), Path(str(job.graph)).read_bytes(), job.plan) == (b"1", b"graph", {})


def test_a_version_that_keras_answers_for_has_no_graph(http, worker):
    accepted(http, upload(http, x=[[1.0, 2.0]]), version=2)
    trainer = FakeTrainer(FINISHED)
    done(worker, trainer)
    assert isinstance(trainer.commands[0], PredictJob)
    assert trainer.commands[0].graph is None


def test_progress_counts_rows_and_warnings_are_those_of_the_run(http, worker, dataset):
    run = accepted(http, dataset)
    reports = [
        RowsPlanned(steps=4, warnings=[]),
        Progress(epoch=1, step=3, metrics={}),
        RowsPlanned(steps=4, warnings=["Something is odd."]),
    ]
    worker.stopping.set()
    done(worker, FakeTrainer(*reports, Suspended()))
    read = http.get(f"/api/runs/{run['id']}").json()
    assert {name: read["progress"][name] for name in ("epoch", "epochs", "step", "steps", "fraction")} == {
        "epoch": 1, "epochs": 1, "step": 3, "steps": 4, "fraction": 0.75,
    }  # fmt: skip
    assert read["warnings"] == ["Something is odd."]
    assert (read["chosen_features"], read["row_order"], read["state"]) == (None, None, "queued")
    (line,) = http.get(f"/api/runs/{run['id']}/logs").json()["items"]
    assert (line["level"], line["message"]) == ("warning", "Something is odd.")


def part(folder: Path, rows: int) -> SnapshotTaken:
    path = folder / f"part-{rows}"
    path.write_bytes(f"{rows}".encode())
    return SnapshotTaken(path=str(path), epoch=0, step=rows, seconds=0.0)


def test_all_parts_wait_in_their_order_for_the_next_attempt_and_go_at_the_end(http, worker, database, dataset, tmp_path):
    accepted(http, dataset)
    taken = [part(tmp_path, rows) for rows in (1024, 2048, 3072)]
    lost = done(worker, FakeTrainer(*taken[:2], TrainerGone(-9)))
    assert (lost.state, lost.failures) == ("queued", 1)
    trainer = FakeTrainer(Resumed(from_epoch=0, from_step=2048), taken[2], TrainerGone(-9))
    worker.settings = worker.settings.model_copy(update={"max_attempts": 9})
    assert done(worker, trainer).state == "queued"
    with database.read() as session:
        references = set(list_references(session))
    last = FakeTrainer(FINISHED)
    ended = done(worker, last)
    job = last.commands[0]
    assert isinstance(job, PredictJob)
    assert {Path(path).name for path in job.parts} <= references
    assert (ended.state, ended.snapshots, ended.attempt) == ("succeeded", [], 3)
    assert [path for path in job.parts if Path(path).exists()] == []
    assert [Path(path).name for path in job.parts] == [stored_name(rows) for rows in (1024, 2048, 3072)]


def stored_name(rows: int) -> str:
    return hashlib.sha256(f"{rows}".encode()).hexdigest()


# The result


@pytest.mark.parametrize(("form", "media_type"), [("parquet", "application/vnd.apache.parquet"), ("csv", "text/csv")])
def test_the_result_is_there_once_the_run_has_succeeded(http, worker, dataset, settings, form, media_type):
    run = accepted(http, dataset, format=form)
    early = content(http, run)
    assert early.status_code == 409
    assert "queued" in early.json()["detail"]
    path = settings.data_dir / "result"
    path.write_bytes(b"rows")
    file = OutputFile(name=f"predictions.{form}", path=str(path), media_type=media_type)
    finished = Finished(outcome="completed", metrics={}, files=[file], publication=None, publish_reason=None)
    done(worker, FakeTrainer(finished))
    answer = content(http, run)
    assert (answer.status_code, answer.content) == (200, b"rows")
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert f'filename="{run["id"]}.{form}"' in answer.headers["content-disposition"]
    part_of_it = http.get(f"/api/batch-predictions/{run['id']}/content", headers={"Range": "bytes=1-2"})
    assert (part_of_it.status_code, part_of_it.content) == (206, b"ow")
    assert [item["name"] for item in http.get(f"/api/runs/{run['id']}/artifacts").json()["items"]] == [f"predictions.{form}"]
    assert http.get(f"/api/runs/{run['id']}/code").status_code == 404
    assert http.delete(f"/api/runs/{run['id']}").status_code == 204
    assert content(http, run).status_code == 404


def test_a_run_of_another_kind_has_no_predictions(http, dataset):
    evaluation = http.post("/api/evaluations", json={"model": "m", "version": 1, "dataset": upload(http, rows=[{"sick": "no"}])})
    answer = content(http, evaluation.json())
    assert answer.status_code == 404
    assert "kind 'evaluate'" in answer.json()["detail"]
