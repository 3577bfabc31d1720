"""Questions about runs that the database answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from service.infra.cursors import Order, Page, PageRequest, fetch_page
from service.infra.database import database_moment, database_now_ms, now
from service.runs.errors import ArtifactNotFound, AttemptReplaced, RunNotFound
from service.runs.states import State
from service.runs.tables import Epoch, Run, RunArtifact, RunEvent, RunTag
from service.spec.frames import Keep

ORDERS = {
    "created_at": Order((Run.id,)),  # ids are UUIDv7, which sort by creation
    "priority": Order((Run.priority, Run.id)),
    "model": Order((Run.model, Run.id)),
}


@dataclass(frozen=True)
class Claim:
    """Who does a run: every write of an attempt is bound to this."""

    run_id: str
    owner: str
    attempt: int


@dataclass(frozen=True)
class RunFilter:
    """Which runs a client wants to see."""

    model: str | None = None
    dataset: str | None = None
    state: State | None = None
    tag: str | None = None


def get(session: Session, workspace_id: str, run_id: str, lock: bool = False) -> Run:
    """The run, locked against other writers if asked. Raises RunNotFound."""
    query = select(Run).where(Run.id == run_id, Run.workspace_id == workspace_id)
    run = session.scalar(query.with_for_update() if lock else query)
    if run is None:
        raise RunNotFound(run_id)
    return run


def get_owned(session: Session, claim: Claim) -> Run:
    """The run of an attempt, locked. Raises AttemptReplaced when somebody else has gone on with it."""
    query = select(Run).where(
        Run.id == claim.run_id, Run.owner == claim.owner, Run.attempt == claim.attempt, Run.state == "running"
    )
    run = session.scalar(query.with_for_update())
    if run is None:
        raise AttemptReplaced(claim.run_id, claim.attempt)
    return run


def list_page(session: Session, workspace_id: str, wanted: RunFilter, request: PageRequest) -> Page[Run]:
    """One page of a workspace's runs, newest first by default."""
    query = select(Run).where(Run.workspace_id == workspace_id)
    if wanted.model is not None:
        query = query.where(Run.model == wanted.model)
    if wanted.dataset is not None:
        query = query.where(Run.dataset_id == wanted.dataset)
    if wanted.state is not None:
        query = query.where(Run.state == wanted.state)
    if wanted.tag is not None:
        query = query.where(Run.tags.any(RunTag.tag == wanted.tag))
    return fetch_page(session, query, request, ORDERS, default="-created_at")


def find_by_key(session: Session, workspace_id: str, key: str) -> Run | None:
    """The run that a request with this Idempotency-Key has made."""
    return session.scalar(select(Run).where(Run.workspace_id == workspace_id, Run.idempotency_key == key))


def queue_position(session: Session, run: Run) -> int | None:
    """The run's place in the queue, 1 being next; None unless it is queued."""
    if run.state != "queued":
        return None
    is_ahead = or_(Run.priority > run.priority, and_(Run.priority == run.priority, Run.id < run.id))
    ahead = session.scalar(select(func.count()).select_from(Run).where(Run.state == "queued", is_ahead))
    return 1 + (ahead or 0)


def claim_next(session: Session, owner: str, devices: Sequence[str], lease_ms: int) -> Run | None:
    """Make the best eligible queued run this worker's: highest priority first, then oldest."""
    eligible = and_(Run.state == "queued", Run.not_before <= database_now_ms(), Run.device.in_(["any", *devices]))
    query = select(Run).where(eligible).order_by(Run.priority.desc(), Run.id).limit(1)
    run = session.scalar(query.with_for_update(skip_locked=True))
    if run is None:
        return None
    run.lease_until = database_moment(session) + lease_ms
    run.attempt += 1
    run.owner = owner
    run.started_at = now()
    run.phase = "waiting"
    run.transition("running")
    session.flush()
    return run


def count_eligible(session: Session) -> int:
    """Number of queued runs that a worker could take now."""
    query = select(func.count()).select_from(Run).where(Run.state == "queued", Run.not_before <= database_now_ms())
    return session.scalar(query) or 0


def extend_leases(session: Session, owner: str, lease_ms: int) -> None:
    """Renew the lease of everything that a worker is doing."""
    mine = and_(Run.owner == owner, Run.state == "running")
    session.execute(update(Run).where(mine).values(lease_until=database_now_ms() + lease_ms))


def list_expired(session: Session, limit: int) -> Sequence[Run]:
    """Running runs whose lease has ended, locked; those that another sweeper has locked are left to it."""
    query = select(Run).where(Run.state == "running", Run.lease_until < database_now_ms()).order_by(Run.id).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def cancel_wish(session: Session, claim: Claim) -> Keep | None:
    """What to keep, if the run is still this attempt's and somebody wants it to stop."""
    is_mine = and_(Run.id == claim.run_id, Run.attempt == claim.attempt, Run.state == "running")
    keep: Keep | None = session.scalar(select(Run.cancel_keep).where(is_mine, Run.cancel_requested_at.is_not(None)))
    return keep


def list_epochs(session: Session, run_id: str) -> Sequence[Epoch]:
    """All finished epochs in order."""
    return session.scalars(select(Epoch).where(Epoch.run_id == run_id).order_by(Epoch.number)).all()


def delete_epochs_after(session: Session, run_id: str, number: int) -> None:
    """Forget the epochs that a new attempt does again."""
    session.execute(delete(Epoch).where(Epoch.run_id == run_id, Epoch.number > number))


def list_events_after(session: Session, run_id: str, number: int, limit: int = 500) -> Sequence[RunEvent]:
    """The events that follow a number, in order."""
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.number > number)
    return session.scalars(query.order_by(RunEvent.number).limit(limit)).all()


def list_artifacts(session: Session, run_id: str) -> Sequence[RunArtifact]:
    """The files of a run by name."""
    return session.scalars(select(RunArtifact).where(RunArtifact.run_id == run_id).order_by(RunArtifact.name)).all()


def get_artifact(session: Session, run_id: str, name: str) -> RunArtifact:
    """A file of a run. Raises ArtifactNotFound."""
    artifact = session.get(RunArtifact, (run_id, name))
    if artifact is None:
        raise ArtifactNotFound(run_id, name)
    return artifact
