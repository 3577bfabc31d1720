"""What a workspace may use, on real databases: counted rightly, refused in time, and never exceeded by two at once."""

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.datasets.service import DatasetService, PreparedDataset, Upload
from service.infra.artifacts import make_artifact_store
from service.infra.database import Database, now
from service.infra.scratch import Scratch
from service.main import Application, create_app
from service.models.tables import Model, Version
from service.predictions.metrics import PredictionMetrics
from service.runs import attempts
from service.runs.attempts import StoredFile, StoredSnapshot
from service.runs.storage import count_bytes
from service.runs.tables import Run, SpentVolume
from service.settings import Settings
from service.spec.frames import EpochEnded, Finished, Progress
from service.workspaces import service as workspaces
from service.workspaces.errors import QuotaExceeded
from tests.acceptance.running import wait_until
from tests.factories import bearer, make_key, queue_run

LIMITS = {"max_stored_bytes": 10_000, "max_epoch_rows": 1000, "max_queued_runs": 4, "max_workspace_streams": 1}
WORKSPACE = "ws_default"
ROWS = 20
FINISHED = Finished(outcome="completed", metrics={}, files=[], publication=None, publish_reason=None)


@pytest.fixture
def app(settings: Settings) -> Application:
    """The API of workspaces with small quotas."""
    limited = settings.model_copy(update={**LIMITS, "sweep_seconds": 3600.0})
    return create_app(limited, PredictionMetrics(CollectorRegistry()))


def upload(http: httpx.Client, rows: int = ROWS, **request: Any) -> httpx.Response:
    body = {"name": "d", "target": "y", "rows": [{"x": 0.5, "y": number % 2} for number in range(rows)]}
    return http.post("/api/datasets", json=body, **request)


def ask(http: httpx.Client, dataset: str, epochs: int, **more: Any) -> httpx.Response:
    return http.post("/api/runs", json={"model": "m", "dataset": dataset, "fit": {"epochs": epochs} | more})


@pytest.fixture
def dataset(http: httpx.Client) -> str:
    """A dataset of twenty rows, beside a model that can be fitted on it."""
    layers = [{"type": "Dense", "units": 1, "activation": "sigmoid"}]
    model = {"name": "m", "definition": {"layers": layers}, "compile": {"optimizer": "sgd", "loss": "binary_crossentropy"}}
    http.post("/api/models", json=model).raise_for_status()
    return str(upload(http).raise_for_status().json()["id"])


def usage(http: httpx.Client, name: str, **request: Any) -> dict[str, Any]:
    quotas = http.get("/api/usage", **request).raise_for_status().json()["quotas"]
    return next(quota for quota in quotas if quota["name"] == name)


def ended_run(database: Database, **fields: Any) -> str:
    """Commit a cancelled run; its id."""
    times = {"finished_at": now(), "queued_at": None, "cancel_requested_at": now()}
    return queue_run(database, state="cancelled", **times, **fields)


def claim(database: Database) -> attempts.ClaimedRun:
    claimed = attempts.claim(database, Settings(), "wrk_1", ["cpu"])
    assert claimed is not None
    return claimed


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """What each action has returned or raised, when all begin at the same time."""
    start, results = threading.Barrier(len(actions)), list[Any]()

    def act(action: Callable[[], Any]) -> None:
        start.wait()
        try:
            results.append(action())
        except QuotaExceeded as refusal:
            results.append(refusal)

    threads = [threading.Thread(target=act, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_usage_names_the_workspace_and_every_quota(http: httpx.Client, dataset: str) -> None:
    answer = http.get("/api/usage").raise_for_status().json()

    assert answer["workspace"] == "default"
    assert {quota["name"]: (quota["limit"], quota["unit"]) for quota in answer["quotas"]} == {
        "stored_bytes": (10_000, "bytes"),
        "queued_runs": (4, "runs"),
        "running_runs": (1000, "runs"),
        "epoch_rows": (1000, "epochs × rows"),
        "requests_per_minute": (None, "requests"),
    }
    assert usage(http, "stored_bytes")["used"] == http.get(f"/api/datasets/{dataset}").json()["size_bytes"]


def test_usage_is_of_the_workspace_of_the_key(http: httpx.Client, database: Database, dataset: str) -> None:
    stranger = bearer(make_key(database, "strangers", "read"))

    assert http.get("/api/usage", headers=stranger).json()["workspace"] == "strangers"
    assert usage(http, "stored_bytes", headers=stranger)["used"] == 0
    wait_until(lambda: http.get("/api/usage").status_code == 401, 10, "a request without a key refused")
    predictor = bearer(make_key(database, "strangers", "predict"))
    assert http.get("/api/usage", headers=predictor).status_code == 403


def test_an_upload_over_the_quota_is_refused_by_its_declared_length_before_it_is_sent(http: httpx.Client) -> None:
    head = (
        f"POST /api/datasets HTTP/1.1\r\nHost: {http.base_url.netloc.decode()}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10001\r\n\r\n"
    )
    with socket.create_connection((http.base_url.host, http.base_url.port or 0), timeout=20) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65536).decode()

    assert answer.startswith("HTTP/1.1 429")
    assert "retry-after: 60" in answer.lower()
    assert "Quota 'stored_bytes' of this workspace: 0 of 10000 bytes are used, and this needs 10001 more." in answer


def test_an_upload_without_a_length_is_refused_by_what_would_be_stored(http: httpx.Client) -> None:
    rows = b'{"name": "d", "x": [%s], "y": [%s]}' % (b",".join([b"[0.25]"] * 3000), b",".join([b"1"] * 3000))

    def body() -> Iterator[bytes]:
        yield rows

    answer = http.post("/api/datasets", content=body(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 429
    assert "'stored_bytes'" in answer.json()["detail"]
    assert http.get("/api/datasets").json()["items"] == []


def prepared(size_bytes: int) -> PreparedDataset:
    description = {"kind": "table", "target": None, "rows": 1, "columns": [], "arrays": []}
    return PreparedDataset(
        Upload(Path("upload"), "d", None), {"table": {"sha256": "0" * 64, "size_bytes": size_bytes}}, description
    )


def test_two_uploads_at_once_do_not_both_get_in(settings: Settings, database: Database, scratch: Scratch) -> None:
    limited = settings.model_copy(update=LIMITS)
    datasets = DatasetService(make_artifact_store(limited), limited, count_bytes, scratch)

    def store() -> str:
        with database.write() as session:
            return datasets.create(session, WORKSPACE, prepared(4000)).id

    results = at_once(*[store] * 4)

    assert len([result for result in results if isinstance(result, QuotaExceeded)]) == 2
    with database.read() as session:
        assert count_bytes(session, WORKSPACE) == 8000


def test_a_run_is_refused_where_the_workspace_stores_as_much_as_it_may(
    http: httpx.Client, database: Database, dataset: str
) -> None:
    run_id = ended_run(database, stored_bytes=10_000)

    refusal = ask(http, dataset, 1)
    assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "60")
    assert "Quota 'stored_bytes'" in refusal.json()["detail"]
    http.delete(f"/api/runs/{run_id}").raise_for_status()
    assert ask(http, dataset, 1).status_code == 202


def test_files_and_snapshots_of_runs_count_as_long_as_they_are_kept(database: Database) -> None:
    queue_run(database)
    claimed = claim(database).claim

    def stored() -> int:
        with database.read() as session:
            return count_bytes(session, WORKSPACE)

    attempts.record(database, claimed, [StoredSnapshot(str(number) * 64, 100, number, 0) for number in (1, 2, 3)])
    assert stored() == 200
    attempts.release(database, claimed)
    assert stored() == 200
    claimed = claim(database).claim
    files = [StoredFile("model.keras", "a" * 64, 30, "application/zip"), StoredFile("log.txt", "b" * 64, 4, "text/plain")]
    attempts.complete(database, claimed, FINISHED, files)
    assert stored() == 34


def test_the_files_of_a_version_count_on_when_its_run_is_deleted(http: httpx.Client, database: Database) -> None:
    file = {"sha256": "c" * 64, "size_bytes": 70, "media_type": "application/zip"}
    run_id = ended_run(database, stored_bytes=70)
    with database.write() as session:
        session.add(Model(id="mdl_1", workspace_id=WORKSPACE, name="kept"))
        session.flush()
        names = ("metrics", "parity", "plan", "example")
        empty: dict[str, Any] = {name: {} for name in names} | {"inputs": [], "outputs": []}
        session.add(
            Version(
                model_id="mdl_1",
                number=1,
                run_id=run_id,
                revision=1,
                engine="onnx",
                parameters=1,
                files={"model.keras": file},
                **empty,
            )
        )
    assert usage(http, "stored_bytes")["used"] == 70
    http.delete(f"/api/runs/{run_id}").raise_for_status()
    assert usage(http, "stored_bytes")["used"] == 70


def test_the_volume_of_a_day_is_epochs_times_rows_and_a_run_beyond_it_is_refused(http: httpx.Client, dataset: str) -> None:
    assert ask(http, dataset, 30).status_code == 202
    assert ask(http, dataset, 15, initial_epoch=5).status_code == 202
    found = usage(http, "epoch_rows")
    assert (found["used"], found["window_seconds"]) == ((30 + 10) * ROWS, 86400)

    refusal = ask(http, dataset, 11)

    assert refusal.status_code == 429
    assert 86_300 < int(refusal.headers["Retry-After"]) <= 86_400
    expected = "Quota 'epoch_rows' of this workspace: 800 of 1000 epochs × rows are used, and this needs 220 more."
    assert refusal.json()["detail"].startswith(expected)
    assert ask(http, dataset, 10).status_code == 202


def test_two_runs_at_once_do_not_exceed_the_volume(http: httpx.Client, dataset: str) -> None:
    answers = at_once(*[lambda: ask(http, dataset, 30).status_code] * 3)

    assert sorted(answers) == [202, 429, 429]
    assert usage(http, "epoch_rows")["used"] == 30 * ROWS


def test_a_run_that_ends_early_counts_the_epochs_that_it_did(http: httpx.Client, database: Database, dataset: str) -> None:
    run_id = ask(http, dataset, 40).raise_for_status().json()["id"]
    claimed = claim(database).claim
    attempts.record(database, claimed, [EpochEnded(epoch=number, metrics={}, seconds=0.1) for number in (1, 2)])
    attempts.record(database, claimed, [Progress(epoch=3, step=1, metrics={})])
    assert usage(http, "epoch_rows")["used"] == 40 * ROWS

    http.post(f"/api/runs/{run_id}:cancel").raise_for_status()
    attempts.complete(database, claimed, FINISHED, [])

    assert usage(http, "epoch_rows")["used"] == 3 * ROWS


def test_a_cancelled_run_that_never_began_counts_nothing(http: httpx.Client, dataset: str) -> None:
    run_id = ask(http, dataset, 50).raise_for_status().json()["id"]
    http.post(f"/api/runs/{run_id}:cancel").raise_for_status()

    assert usage(http, "epoch_rows")["used"] == 0
    assert ask(http, dataset, 50).status_code == 202


def test_a_deleted_run_counts_for_the_rest_of_its_day(http: httpx.Client, database: Database) -> None:
    run_id = ended_run(database, rows=10, counted_epochs=5)
    with database.write() as session:
        old = {"workspace_id": WORKSPACE, "epoch_rows": 9, "created_at": now() - timedelta(hours=25)}
        session.add(SpentVolume(run_id="run_old", **old))
    assert usage(http, "epoch_rows")["used"] == 50
    before = usage(http, "epoch_rows")["resets_at"]

    http.delete(f"/api/runs/{run_id}").raise_for_status()

    assert usage(http, "epoch_rows")["used"] == 50
    assert usage(http, "epoch_rows")["resets_at"] == before
    with database.read() as session:
        assert session.get(SpentVolume, "run_old") is None


def test_runs_of_the_day_before_count_no_more(http: httpx.Client, database: Database) -> None:
    queue_run(database, rows=10, counted_epochs=5, created_at=now() - timedelta(hours=24, seconds=1))
    queue_run(database, rows=10, counted_epochs=7, created_at=now() - timedelta(hours=23))

    found = usage(http, "epoch_rows")

    assert found["used"] == 70
    assert found["resets_at"] is not None


def test_an_evaluation_counts_no_epochs(database: Database) -> None:
    run_id = queue_run(database, kind="evaluate", rows=10)
    claimed = claim(database).claim
    attempts.complete(database, claimed, FINISHED, [])
    with database.read() as session:
        assert session.get_one(Run, run_id).counted_epochs == 0


def own_numbers(database: Database, **numbers: int) -> None:
    with database.write() as session:
        workspaces.workspace_named(session, "default").quotas = numbers


def test_a_workspace_with_its_own_numbers_is_bound_by_them_alone(http: httpx.Client, database: Database, dataset: str) -> None:
    own_numbers(database, epoch_rows=60, queued_runs=1)
    assert ask(http, dataset, 4).status_code == 429
    assert ask(http, dataset, 3).status_code == 202
    assert "1 of 1 runs" in ask(http, dataset, 1).json()["detail"]

    own_numbers(database, epoch_rows=0, queued_runs=0)
    assert [ask(http, dataset, 1000).status_code for _ in range(5)] == [202] * 5
    assert usage(http, "epoch_rows")["limit"] is None


def test_its_own_number_of_running_runs_holds_at_the_claim(database: Database) -> None:
    own_numbers(database, running_runs=1)
    for _ in range(2):
        queue_run(database)
    claim(database)
    assert attempts.claim(database, Settings(), "wrk_1", ["cpu"]) is None


def test_requests_are_counted_once_there_is_a_limit_and_refused_beyond_it(http: httpx.Client, database: Database) -> None:
    assert usage(http, "requests_per_minute") == {
        "name": "requests_per_minute",
        "used": None,
        "limit": None,
        "unit": "requests",
        "window_seconds": 60,
        "resets_at": None,
    }
    own_numbers(database, requests_per_minute=4)
    wait_until(lambda: usage(http, "requests_per_minute")["used"] == 2, 10, "two requests counted")
    statuses = [http.get("/api/models").status_code, http.get("/v2/models/m").status_code, http.get("/livez").status_code]
    assert statuses == [200, 404, 200]

    refusal = http.get("/api/usage")

    assert refusal.status_code == 429
    assert 0 < int(refusal.headers["Retry-After"]) <= 60
    assert refusal.json()["type"] == "urn:fitserve:problem:too-many-requests"
    assert refusal.json()["detail"].startswith("Quota 'requests_per_minute' of this workspace: 4 of 4 requests are used")
    assert refusal.headers["X-Request-ID"] == refusal.json()["request_id"]
    assert http.get("/v1/models/m").json()["error"].startswith("Quota 'requests_per_minute' of this workspace")
    assert http.get("/metrics").status_code == 200


def test_a_workspace_holds_no_more_streams_than_its_part(http: httpx.Client, database: Database) -> None:
    run_id, other = queue_run(database), bearer(make_key(database, "strangers"))
    with database.read() as session:
        strange = workspaces.workspace_named(session, "strangers").id
    own, foreign = bearer(make_key(database, "default")), queue_run(database, workspace_id=strange)
    with http.stream("GET", f"/api/runs/{run_id}/events", headers=own) as stream:
        lines = stream.iter_lines()
        next(lines)
        for refusal in (
            http.get(f"/api/runs/{run_id}/events", headers=own),
            http.get(f"/api/runs/{run_id}", headers=own | {"Prefer": "wait=1"}),
        ):
            assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "5")
            assert "of this workspace are open" in refusal.json()["detail"]
        assert http.get(f"/api/runs/{foreign}", headers=other | {"Prefer": "wait=1"}).status_code == 200
