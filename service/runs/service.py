"""Decides what becomes of a client's wishes about runs. Knows no HTTP."""

from sqlalchemy.orm import Session

from service.datasets import repository as datasets
from service.models import repository as models
from service.runs import repository, volumes
from service.runs.errors import RunIsActive, RunIsOver
from service.runs.states import TerminalState
from service.runs.tables import Run
from service.spec.frames import Keep


def request_cancel(session: Session, workspace_id: str, run_id: str, keep: Keep) -> Run:
    """Stop a run: a queued one at once, a running one at its next batch. Raises RunNotFound or RunIsOver."""
    run = repository.get(session, workspace_id, run_id, lock=True)
    if run.is_terminal:
        raise RunIsOver(run.id, run.state)
    run.request_cancel(keep)
    if run.state == "queued":
        finish(session, run, "cancelled")
    session.flush()
    return run


def finish(session: Session, run: Run, state: TerminalState) -> None:
    """End a run that this transaction has locked, and let go of its model, its dataset and its snapshots."""
    if state != "failed":
        run.failure = None  # it told of an earlier attempt
    run.snapshots, run.stored_bytes = [], 0
    volumes.settle(session, run)
    run.transition(state)
    run.emit("done", {"state": state, "version": run.version, "failure": run.failure})
    models.release(session, run.id)
    datasets.release(session, run.id)


def delete(session: Session, workspace_id: str, run_id: str) -> None:
    """Forget a run that has ended; its version stays. Raises RunNotFound or RunIsActive."""
    run = repository.get(session, workspace_id, run_id, lock=True)
    if not run.is_terminal:
        raise RunIsActive(run.id, run.state)
    volumes.keep(session, run)
    session.delete(run)
