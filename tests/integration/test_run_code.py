"""Which runs have a script, and what it says of those that it cannot repeat exactly."""

import ast
from typing import Any

import msgspec
import pytest
from sqlalchemy.orm import Session

from service.errors import Conflict, NotFound
from service.infra.database import Database, now
from service.runs.code import script_of
from service.runs.tables import Run, RunArtifact, RunAttempt
from service.spec.frames import Planned
from tests.factories import new_run

SUCCEEDED: dict[str, Any] = {"state": "succeeded", "queued_at": None, "finished_at": now(), "epoch": 3, "step": 5}
CANCELLED = SUCCEEDED | {"state": "cancelled", "cancel_requested_at": now(), "epoch": 2, "step": 4}
FAILED = CANCELLED | {"state": "failed", "failure": {"type": "timeout", "message": 'Too slow. """', "hint": "h"}}
RUNNING = {"state": "running", "queued_at": None, "owner": "wrk_1", "lease_until": 1}
PLAN = msgspec.structs.asdict(
    Planned(
        features={}, warnings=[], epochs=3, steps=5, train_rows=9, validation_rows=0, parameters=3, initial_epoch=0,
        chunk_rows=None, window_chunks=None, input_shapes=[[2]], threads=2,
        versions={"tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.0"},
    )
)  # fmt: skip


def stored_run(session: Session, **fields: Any) -> Run:
    """A run that has been planned, with its first attempt."""
    run = new_run(session, **({"plan": PLAN, "attempt": 1} | fields))
    session.flush()
    session.add(RunAttempt(run_id=run.id, number=1, worker_id="wrk_1", from_epoch=0))
    if run.state == "succeeded":
        session.add(RunArtifact(run_id=run.id, name="encoded.npz", sha256="0" * 64, size_bytes=1, media_type="application/zip"))
    session.flush()
    return run


def started_from(earlier: str, take: str) -> dict[str, Any]:
    return {"start": {"run": earlier, "version": None, "take": take, "files": {}}}


def first_lines(source: str) -> str:
    return " ".join((ast.get_docstring(ast.parse(source)) or "").split())


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({}, Conflict, "is queued; its script is not ready yet: it is known once the data is loaded"),
        (RUNNING, Conflict, "is running; its script is not ready yet"),
        (FAILED | {"failure": {"type": "bad_data", "message": "m", "hint": "h"}}, NotFound, r"it was over \(bad_data\) before"),
        (CANCELLED, NotFound, "it was over before its data was loaded"),
        (SUCCEEDED | {"kind": "evaluate"}, NotFound, "of kind 'evaluate', which fits no model"),
    ],
)
def test_a_run_without_a_script_says_why(database: Database, fields, kind, reason):
    with database.write() as session:
        run = new_run(session, **fields)
        session.flush()
        with pytest.raises(kind, match=reason):
            script_of(session, run)


def test_the_script_of_a_run_that_has_succeeded_is_exact(database: Database):
    with database.write() as session:
        assert "bit for bit" in first_lines(script_of(session, stored_run(session, **SUCCEEDED)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (SUCCEEDED | {"inexact_reason": "It went on with another processor."}, "the run, which went on with another processor."),
        (CANCELLED, "the run, which was cancelled after epoch 1 of 3, while the script goes on to the end."),
        (FAILED, 'the run, which failed after epoch 1 of 3, while the script goes on to the end (timeout: Too slow. """).'),
        (CANCELLED | {"step": 5}, "was cancelled after epoch 2 of 3"),
        (CANCELLED, "There is no file encoded.npz of this run, since it did not succeed"),
        (RUNNING, "The run is running: its file encoded.npz is there once it has succeeded."),
    ],
)
def test_the_first_lines_say_what_the_script_does_not_repeat(database: Database, fields, sentence):
    with database.write() as session:
        assert sentence in first_lines(script_of(session, stored_run(session, **fields)))


def test_a_run_that_took_weights_begins_with_these(database: Database):
    with database.write() as session:
        earlier = stored_run(session, **SUCCEEDED)
        source = script_of(session, stored_run(session, **SUCCEEDED, sources=started_from(earlier.id, "weights")))
    assert f"model.keras of run '{earlier.id}', whose weights it begins with" in first_lines(source)
    assert "bit for bit" in first_lines(source)
    assert "start.keras" in source


def test_a_run_that_took_the_state_begins_where_the_earlier_one_began(database: Database):
    with database.write() as session:
        first = stored_run(session, **SUCCEEDED)
        warm = {"sources": started_from(first.id, "weights"), "fit": {"epochs": 3, "initial_epoch": 1}}
        second = stored_run(session, **SUCCEEDED, **warm)
        longer = {"sources": started_from(second.id, "state"), "fit": {"epochs": 6}}
        source = script_of(session, stored_run(session, **SUCCEEDED, **longer))
    assert f"model.keras of run '{first.id}', whose weights it begins with" in first_lines(source)
    assert "bit for bit" in first_lines(source)
    assert "epochs=6, initial_epoch=1" in source


@pytest.mark.parametrize(
    "fields",
    [{"epoch": 2}, {"fit": {"epochs": 3, "callbacks": [{"type": "EarlyStopping"}]}}, None],
    ids=["stopped sooner", "perhaps stopped", "deleted"],
)
def test_where_the_state_cannot_be_repeated_the_script_takes_the_weights_and_says_so(database: Database, fields):
    with database.write() as session:
        earlier = stored_run(session, **(SUCCEEDED | fields)).id if fields else "run_deleted"
        run = stored_run(session, **SUCCEEDED, sources=started_from(earlier, "state"), fit={"epochs": 6})
        run.attempts[0].from_epoch = 3
        source = script_of(session, run)
    assert f"went on with the whole state of run '{earlier}', while the script has its weights alone" in first_lines(source)
    assert "bit for bit" not in first_lines(source)
    assert "epochs=6, initial_epoch=3" in source
