"""How much a workspace has had trained within a day: epochs times rows of the fits that it was accepted for.

A fit counts the epochs that it asks for, and from its end on those that it did; a deleted one goes on counting.
"""

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from service.infra.database import now
from service.runs.tables import Epoch, Run, SpentVolume

WINDOW = timedelta(hours=24)


def count(session: Session, workspace_id: str) -> int:
    """Epochs times rows of the last 24 hours."""
    since = now() - WINDOW
    of_runs = select(func.sum(Run.counted_epochs * Run.rows)).where(_counts_since(workspace_id, since))
    of_deleted = select(func.sum(SpentVolume.epoch_rows)).where(_is_spent_since(workspace_id, since))
    return int(session.scalar(of_runs) or 0) + int(session.scalar(of_deleted) or 0)


def next_release(session: Session, workspace_id: str) -> datetime | None:
    """When the oldest of them stops counting; None where there is none."""
    since = now() - WINDOW
    of_runs = select(func.min(Run.created_at)).where(_counts_since(workspace_id, since))
    of_deleted = select(func.min(SpentVolume.created_at)).where(_is_spent_since(workspace_id, since))
    moments = [moment for moment in (session.scalar(of_runs), session.scalar(of_deleted)) if moment is not None]
    return min(moments) + WINDOW if moments else None


def seconds_to_release(session: Session, workspace_id: str) -> int:
    """Whole seconds until then; those of a whole day where nothing counts yet."""
    release = next_release(session, workspace_id)
    return ceil((release - now() if release is not None else WINDOW).total_seconds())


def _counts_since(workspace_id: str, since: datetime) -> ColumnElement[bool]:
    return and_(Run.workspace_id == workspace_id, Run.counted_epochs > 0, Run.created_at >= since)


def _is_spent_since(workspace_id: str, since: datetime) -> ColumnElement[bool]:
    return and_(SpentVolume.workspace_id == workspace_id, SpentVolume.created_at >= since)


def settle(session: Session, run: Run) -> None:
    """Let a fit that ends count the epochs that it did, the one that it was in the middle of among them."""
    if run.kind != "fit":
        return
    done, last = session.execute(select(func.count(), func.max(Epoch.number)).where(Epoch.run_id == run.id)).one()
    run.counted_epochs = min(run.counted_epochs, done + (run.epoch > (last or 0)))


def keep(session: Session, run: Run) -> None:
    """Go on counting a run that is about to be deleted; forget those that have stopped counting."""
    outdated = and_(SpentVolume.workspace_id == run.workspace_id, SpentVolume.created_at < now() - WINDOW)
    session.execute(delete(SpentVolume).where(outdated))
    volume = run.counted_epochs * run.rows
    if volume:
        session.add(SpentVolume(run_id=run.id, workspace_id=run.workspace_id, epoch_rows=volume, created_at=run.created_at))
