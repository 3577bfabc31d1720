"""Every row of a dataset predicted as a job, over HTTP with a real worker: the answers, and what kills and stops do to them."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from tests.acceptance.client import DIGITS, Document, Fitserve, accepted, refused
from tests.acceptance.running import EMBEDDED_ONLY, RunningService, wait_until

pytestmark = EMBEDDED_ONLY

UNITS = 1000
"""Of two layers: enough for a prediction of some seconds."""
MANY = 100_000


def start(fitserve: Fitserve, model: str, dataset: str, **more: Any) -> str:
    """Accept a batch prediction; its id."""
    return str(
        accepted(fitserve.http.post("/api/batch-predictions", json={"model": model, "dataset": dataset, **more}), 202)["id"]
    )


def content(fitserve: Fitserve, run_id: str) -> bytes:
    answer = fitserve.http.get(f"/api/batch-predictions/{run_id}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.fixture(scope="module")
def digits(fitserve: Fitserve) -> Document:
    """A fit of the digits."""
    return fitserve.succeeded(fitserve.start_digits())


def test_every_row_has_the_answer_that_it_would_have_by_itself(fitserve: Fitserve, digits: Document) -> None:
    run_id = start(fitserve, digits["model"], digits["dataset"], version=digits["version"], columns=["digit"])
    run = fitserve.succeeded(run_id)
    rows = [
        [float(cell) for cell in row[:-1]]
        for row in csv.reader(DIGITS.read_text().splitlines())
        if row[0].replace(".", "").isdigit()
    ]
    answers = accepted(fitserve.http.post(f"/api/models/{digits['model']}:predict", json={"rows": rows}))["predictions"]
    table = pyarrow.parquet.read_table(io.BytesIO(content(fitserve, run_id)))
    assert table.column_names == ["digit", "label", "probability_0", "probability_1"]
    assert table.column("label").to_pylist() == [answer["label"] for answer in answers]
    for label in "01":
        expected = [answer["probabilities"][label] for answer in answers]
        assert table.column(f"probability_{label}").to_pylist() == pytest.approx(expected, abs=1e-6)
    assert (run["kind"], run["predicts_with"], run["version"], run["warnings"]) == ("predict", digits["version"], None, [])
    assert (run["progress"]["step"], run["progress"]["steps"], run["progress"]["fraction"]) == (len(rows), len(rows), 1.0)
    phases = [event.data["phase"] for event in fitserve.events(run_id) if event.kind == "state"]
    assert list(dict.fromkeys(phases)) == ["waiting", "loading", "predicting"]


def test_new_rows_need_no_truth_and_may_hold_what_nobody_has_seen(fitserve: Fitserve) -> None:
    rows = [{"age": float(number), "city": ["Ulm", "Rome"][number % 2], "rich": number > 20} for number in range(40)]
    model = fitserve.create_model()
    fitserve.succeeded(fitserve.start(model, fitserve.upload_json(rows=rows, target="rich")["id"]))
    new = [
        {"id": "=1+1", "age": None, "city": "Oslo"},
        {"id": "a", "age": 4000.0, "city": "Ulm"},
        {"id": None, "age": 1.0, "city": None},
    ]
    run_id = start(fitserve, model, fitserve.upload_json(rows=new)["id"], columns=["id"], format="csv")
    run = fitserve.succeeded(run_id)
    head, *found = csv.reader(io.StringIO(content(fitserve, run_id).decode()))
    assert head == ["id", "label", "probability_false", "probability_true"]
    assert [row[0] for row in found] == ["'=1+1", "a", ""]
    answers = accepted(
        fitserve.http.post(f"/api/models/{model}:predict", json={"rows": [{"age": r["age"], "city": r["city"]} for r in new]})
    )["predictions"]
    assert [row[1] for row in found] == [str(answer["label"]).lower() for answer in answers]
    assert any("'city': 1 row" in warning and "'Oslo'" in warning for warning in run["warnings"])
    assert any("'age': 1 row" in warning and "far outside" in warning for warning in run["warnings"])


@pytest.fixture(scope="module")
def slow(fitserve: Fitserve) -> tuple[str, str]:
    """A model that takes its time, and many rows."""
    layers = [{"type": "Dense", "units": UNITS, "activation": "relu"} for _ in range(2)] + [{"type": "Dense", "units": 1}]
    model = fitserve.create_model(layers, {"optimizer": "adam", "loss": "mse"})
    numbers = np.random.default_rng(0).normal(size=(MANY, 2)).round(4)
    text = "a,b,y\n" + "\n".join(f"{a},{b},{a + b:.4f}" for a, b in numbers.tolist())
    few = "\n".join(text.split("\n")[:61])
    datasets = [
        accepted(fitserve.http.post("/api/datasets", files={"file": ("t.csv", part, "text/csv")}, data={"target": "y"}), 201)[
            "id"
        ]
        for part in (few, text)
    ]
    fitserve.succeeded(fitserve.start(model, datasets[0], {"epochs": 1}))
    return model, str(datasets[1])


@pytest.fixture
def a_trainer_waits_afterwards(running: RunningService) -> Iterator[None]:
    """Let the tests that follow find the service as this test has found it."""
    yield
    running.wait_until_ready()


def wait_for_row(fitserve: Fitserve, run_id: str, attempt: int, row: int) -> None:
    """Return once this attempt has predicted more rows than that."""

    def is_beyond() -> bool:
        run = fitserve.run(run_id)
        assert run["state"] in ("queued", "running"), run
        return bool(run["attempt"] == attempt and run["phase"] == "predicting" and run["progress"]["step"] > row)

    wait_until(is_beyond, 120, f"more than {row} rows by attempt {attempt}")


@pytest.mark.usefixtures("a_trainer_waits_afterwards")
def test_a_prediction_that_is_stopped_and_killed_in_the_midst_ends_with_the_same_bytes(
    fitserve: Fitserve, running: RunningService, slow: tuple[str, str]
) -> None:
    model, dataset = slow
    undisturbed = start(fitserve, model, dataset, columns=["a"])
    run_id = start(fitserve, model, dataset, columns=["a"])
    fitserve.succeeded(undisturbed)
    wait_for_row(fitserve, run_id, attempt=1, row=MANY // 10)
    worker = running.worker()
    worker.terminate()
    wait_until(lambda: not worker.is_running(), 20, "the worker ends")
    wait_for_row(fitserve, run_id, attempt=2, row=MANY // 4)
    running.trainer().kill()
    run = fitserve.succeeded(run_id)
    assert [attempt["cause"] for attempt in run["attempts"]] == ["worker_shutdown", "killed_by_signal", "completed"]
    resumed = [event.data for event in fitserve.events(run_id) if event.kind == "resumed"]
    assert [event["attempt"] for event in resumed] == [2, 3]
    assert resumed[1]["from_step"] >= resumed[0]["from_step"] > MANY // 10
    assert (run["exact"], run["inexact_reason"], run["failures"]) == (True, None, 1)
    assert content(fitserve, run_id) == content(fitserve, undisturbed)


@pytest.mark.usefixtures("a_trainer_waits_afterwards")
def test_a_prediction_whose_worker_is_killed_is_done_again(
    fitserve: Fitserve, running: RunningService, slow: tuple[str, str]
) -> None:
    run_id = start(fitserve, *slow, format="csv")
    wait_for_row(fitserve, run_id, attempt=1, row=0)
    running.worker().kill()
    run = fitserve.succeeded(run_id)
    assert (run["attempt"], run["failures"]) == (2, 1)
    assert content(fitserve, run_id).count(b"\n") == MANY + 1


def test_a_cancelled_prediction_has_no_result(fitserve: Fitserve, slow: tuple[str, str]) -> None:
    run_id = start(fitserve, *slow)
    wait_for_row(fitserve, run_id, attempt=1, row=0)
    early = refused(fitserve.http.get(f"/api/batch-predictions/{run_id}/content"), 409)
    assert "running" in early["detail"]
    fitserve.cancel(run_id, keep="last")
    run = fitserve.ended(run_id)
    assert (run["state"], run["attempts"][0]["cause"]) == ("cancelled", "cancelled")
    refused(fitserve.http.get(f"/api/batch-predictions/{run_id}/content"), 404)
    assert accepted(fitserve.http.get(f"/api/runs/{run_id}/artifacts"))["items"] == []
