"""What a run shows of the plan that its trainer made, and of the work that is done."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.infra.database import Database, now
from service.runs.reading import read_run
from service.runs.tables import RunAttempt
from service.settings import Settings
from tests.factories import new_run


@pytest.mark.parametrize(
    ("plan", "row_order"), [(None, None), ({"chunk_rows": None}, "whole"), ({"chunk_rows": 4096}, "windows")]
)
def test_a_run_tells_how_its_rows_are_shuffled(
    database: Database, settings: Settings, plan: dict[str, Any] | None, row_order: str | None
):
    with database.write() as session:
        run = new_run(session, plan=plan)
        session.flush()
        assert read_run(session, settings, run).row_order == row_order


def test_the_rest_of_a_batch_prediction_is_estimated_from_all_its_attempts(database: Database, settings: Settings):
    """The first has predicted half of the rows in a hundred seconds, after which the second has just begun."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    first = RunAttempt(number=1, worker_id="w", started_at=began, ended_at=began + timedelta(seconds=100), cause="lost_worker")
    with database.write() as session:
        run = new_run(
            session, kind="predict", fit={"columns": [], "format": "csv"}, plan={"steps": 2000}, epoch=1, step=1000,
            state="running", owner="w", lease_until=1, queued_at=None, started_at=now(), attempt=2,
            attempts=[first, RunAttempt(number=2, worker_id="w")],
        )  # fmt: skip
        session.flush()
        progress = read_run(session, settings, run).progress
    assert progress.fraction == 0.5
    assert progress.eta_seconds == pytest.approx(100, abs=5)
