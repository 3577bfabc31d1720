"""What a client is told of a run that waits, and what a workspace may have waiting."""

import httpx
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event

from service.infra.database import Database
from service.main import Application, create_app
from service.predictions.metrics import PredictionMetrics
from service.runs import attempts, workers
from service.runs.attempts import Failure
from service.runs.workers import WorkerIdentity
from service.settings import Settings
from tests.factories import new_run, queue_run


@pytest.fixture
def app(settings: Settings) -> Application:
    """The API of a workspace that may have three runs waiting and one running."""
    limited = settings.model_copy(update={"max_queued_runs": 3, "max_running_runs": 1, "sweep_seconds": 3600.0})
    return create_app(limited, PredictionMetrics(CollectorRegistry()))


def worker(database: Database, worker_id: str, *devices: str) -> None:
    workers.announce(database, WorkerIdentity(worker_id, "host", 1, 1))
    workers.describe(database, worker_id, list(devices), {})


def waiting_reason(http: httpx.Client, run_id: str) -> str | None:
    run = http.get(f"/api/runs/{run_id}").json()
    assert run["queued_seconds"] >= 0
    assert run["queue_position"] is not None
    reason: str | None = run["waiting_reason"]
    return reason


def test_a_waiting_run_says_that_no_worker_is_alive(http: httpx.Client, database: Database) -> None:
    run_id = queue_run(database)
    assert "No worker is alive" in str(waiting_reason(http, run_id))
    worker(database, "wrk_1")
    assert "load TensorFlow" in str(waiting_reason(http, run_id))
    worker(database, "wrk_2", "cpu")
    assert waiting_reason(http, run_id) is None
    workers.say_goodbye(database, "wrk_1")
    workers.say_goodbye(database, "wrk_2")
    assert "No worker is alive" in str(waiting_reason(http, run_id))


def test_a_waiting_run_says_that_no_worker_has_its_device(http: httpx.Client, database: Database) -> None:
    worker(database, "wrk_1", "cpu")
    assert "No living worker has a gpu" in str(waiting_reason(http, queue_run(database, device="gpu")))


def test_a_waiting_run_says_that_its_workspace_is_full_or_that_it_is_retried(http: httpx.Client, database: Database) -> None:
    worker(database, "wrk_1", "cpu")
    settings = Settings(retry_delay_seconds=30, max_attempts=3)
    run_id = queue_run(database)
    claimed = attempts.claim(database, settings, "wrk_1", ["cpu"])
    assert claimed is not None
    other = queue_run(database)
    assert "as many as it may" in str(waiting_reason(http, other))
    attempts.fail(database, claimed.claim, Failure("killed_by_signal", "Killed.", "Wait."), settings)
    assert "next attempt begins in" in str(waiting_reason(http, run_id))
    assert waiting_reason(http, other) is None


def test_a_full_queue_is_answered_with_the_limit_and_loses_nothing(http: httpx.Client, database: Database) -> None:
    rows = [{"x": float(number), "y": number % 2} for number in range(8)]
    dataset = http.post("/api/datasets", json={"name": "d", "rows": rows}).json()["id"]
    definition = {"definition": {"layers": [{"type": "Dense", "units": 1}]}, "compile": {"optimizer": "sgd", "loss": "mse"}}
    assert http.post("/api/models", json={"name": "m", **definition}).status_code == 201
    body = {"model": "m", "dataset": dataset, "target": "y"}
    keys = [{"Idempotency-Key": str(number)} for number in range(4)]
    accepted = [http.post("/api/runs", json=body, headers=key) for key in keys]
    assert [answer.status_code for answer in accepted] == [202, 202, 202, 429]
    assert accepted[3].headers["Retry-After"] == "10"
    assert "Quota 'queued_runs' of this workspace: 3 of 3 runs are used" in accepted[3].json()["detail"]
    assert http.post("/api/runs", json=body, headers=keys[0]).json()["id"] == accepted[0].json()["id"]
    run_id = accepted[0].json()["id"]
    assert http.post(f"/api/runs/{run_id}:cancel").json()["state"] == "cancelled"
    assert http.post("/api/runs", json=body, headers=keys[3]).status_code == 202


def test_the_log_of_a_run_is_read_in_pages(http: httpx.Client, database: Database) -> None:
    with database.write() as session:
        run = new_run(session)
        session.flush()
        run.emit("state", {})
        for number in range(3):
            run.log("info", f"line {number}")
        run_id = run.id
    first = http.get(f"/api/runs/{run_id}/logs", params={"page_size": 2}).json()
    assert [(line["number"], line["message"], line["level"]) for line in first["items"]] == [
        (2, "line 0", "info"),
        (3, "line 1", "info"),
    ]
    rest = http.get(f"/api/runs/{run_id}/logs", params={"page_token": first["next_page_token"]}).json()
    assert [line["message"] for line in rest["items"]] == ["line 2"]
    assert http.get("/api/runs/run_nobody/logs").status_code == 404


def test_a_page_of_runs_takes_a_number_of_queries_that_does_not_grow(
    app: Application, http: httpx.Client, database: Database
) -> None:
    statements: list[str] = []
    event.listen(app.api.state.database.engine, "before_cursor_execute", lambda *details: statements.append(details[2]))
    counts = []
    for _ in range(2):
        for _ in range(10):
            queue_run(database)
        statements.clear()
        assert len(http.get("/api/runs", params={"page_size": 100}).json()["items"]) in (10, 20)
        counts.append(len([statement for statement in statements if "FROM runs" in statement or "FROM run_" in statement]))
    assert counts[0] == counts[1]
