"""What a run shows of the plan that its trainer made."""

from typing import Any

import pytest

from service.infra.database import Database
from service.runs.reading import read_run
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
