"""The database itself refuses rows that no code should ever write."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from service.infra.database import Database
from service.runs.tables import Run
from tests.factories import queue_run

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"state": "sleeping"}, id="unknown state"),
        pytest.param({"kind": "guess"}, id="unknown kind"),
        pytest.param({"state": "running", "lease_until": 1}, id="running without an owner"),
        pytest.param({"state": "running", "owner": "wrk_1"}, id="running without a lease"),
        pytest.param({"owner": "wrk_1"}, id="queued with an owner"),
        pytest.param({"lease_until": 1}, id="queued with a lease"),
        pytest.param({"state": "failed", "finished_at": MOMENT}, id="failed without a failure"),
        pytest.param({"state": "cancelled", "finished_at": MOMENT}, id="cancelled without a request"),
        pytest.param({"state": "succeeded"}, id="ended without a time"),
        pytest.param({"finished_at": MOMENT}, id="queued with an end"),
        pytest.param({"workspace_id": "ws_nobody"}, id="workspace that does not exist"),
    ],
)
def test_a_run_of_an_impossible_shape_is_refused(database: Database, shape: dict[str, Any]) -> None:
    run_id = queue_run(database)
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(update(Run).where(Run.id == run_id).values(shape))


def test_an_idempotency_key_belongs_to_one_run(database: Database) -> None:
    queue_run(database, idempotency_key="once")
    with pytest.raises(IntegrityError):
        queue_run(database, idempotency_key="once")


def test_runs_without_a_key_do_not_collide(database: Database) -> None:
    assert queue_run(database) != queue_run(database)
