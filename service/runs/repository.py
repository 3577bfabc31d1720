"""Questions about runs that the database answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session, defer, selectinload

from service.infra.cursors import Order, Page, PageRequest, fetch_page
from service.infra.database import database_moment, database_now_ms
from service.runs.errors import ArtifactNotFound, AttemptReplaced, RunNotFound
from service.runs.states import Kind, State
from service.runs.tables import Epoch, Run, RunArtifact, RunEvent, RunTag
from service.spec.frames import Keep
from service.workspaces import repository as workspaces
from service.workspaces.quotas import Quotas

Row = TypeVar("Row")

NOT_LISTED = (Run.definition, Run.compile, Run.dataset_files, Run.snapshots)
"""Large documents that no listing shows."""

ORDERS = {
    "created_at": Order((Run.id,)),  # ids are UUIDv7, which sort by creation
    "priority": Order((Run.priority, Run.id)),
    "model": Order((Run.model, Run.id)),
}
EVENTS_AT_ONCE = 500
LOG_ORDERS = {"number": Order((RunEvent.number,))}


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
    kind: Kind | None = None


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
    if wanted.kind is not None:
        query = query.where(Run.kind == wanted.kind)
    details = (selectinload(Run.tags), selectinload(Run.attempts), *map(defer, NOT_LISTED))
    return fetch_page(session, query.options(*details), request, ORDERS, default="-created_at")


def find_by_key(session: Session, workspace_id: str, key: str) -> Run | None:
    """The run that a request with this Idempotency-Key has made."""
    return session.scalar(select(Run).where(Run.workspace_id == workspace_id, Run.idempotency_key == key))


def queue_position(session: Session, run: Run) -> int:
    """The place of a queued run in the queue, 1 being next."""
    is_ahead = or_(Run.priority > run.priority, and_(Run.priority == run.priority, Run.id < run.id))
    ahead = session.scalar(select(func.count()).select_from(Run).where(Run.state == "queued", is_ahead))
    return 1 + (ahead or 0)


def queue_positions(session: Session, run_ids: Sequence[str]) -> dict[str, int]:
    """The places of many queued runs, in one pass over the queue."""
    place = func.row_number().over(order_by=(Run.priority.desc(), Run.id)).label("place")
    queue = select(Run.id, place).where(Run.state == "queued").subquery()
    rows = session.execute(select(queue.c.id, queue.c.place).where(queue.c.id.in_(run_ids)))
    return {row.id: row.place for row in rows}


def count_in_state(session: Session, workspace_id: str, state: State) -> int:
    """How many runs of a workspace are in a state."""
    query = select(func.count()).select_from(Run).where(Run.workspace_id == workspace_id, Run.state == state)
    return session.scalar(query) or 0


def claim_next(session: Session, owner: str, devices: Sequence[str], lease_ms: int, quotas: Quotas) -> Run | None:
    """Make the best eligible queued run this worker's: highest priority first, then oldest.

    Workspaces that have as many runs running as they may are passed over; ``quotas`` are those without own numbers.
    """
    eligible = and_(_is_eligible(), Run.device.in_(["any", *devices]))
    passed_over: list[str] = []
    while True:
        candidates = and_(eligible, Run.workspace_id.not_in(passed_over))
        workspace_id = session.scalar(_in_queue_order(select(Run.workspace_id).where(candidates)))
        if workspace_id is None:
            return None
        run = _best_of(session, workspace_id, eligible, quotas)
        if run is not None:
            run.begin_attempt(owner, database_moment(session) + lease_ms)
            session.flush()
            return run
        passed_over.append(workspace_id)


def _best_of(session: Session, workspace_id: str, eligible: ColumnElement[bool], quotas: Quotas) -> Run | None:
    limit = workspaces.lock_quotas(session, workspace_id, quotas).running_runs
    if limit and count_in_state(session, workspace_id, "running") >= limit:
        return None
    query = _in_queue_order(select(Run).where(eligible, Run.workspace_id == workspace_id))
    return session.scalar(query.with_for_update(skip_locked=True))


def _in_queue_order(query: Select[Row]) -> Select[Row]:
    return query.order_by(Run.priority.desc(), Run.id).limit(1)


def _is_eligible() -> ColumnElement[bool]:
    return and_(Run.state == "queued", Run.not_before <= database_now_ms())


def has_eligible(session: Session) -> bool:
    """Whether a run waits that a worker could take now."""
    return session.scalar(select(Run.id).where(_is_eligible()).limit(1)) is not None


def measure_queue(session: Session) -> tuple[int, datetime | None]:
    """How many runs wait, and since when the first of them does."""
    row = session.execute(select(func.count(), func.min(Run.queued_at)).where(Run.state == "queued")).one()
    return row[0], row[1]


def extend_leases(session: Session, owner: str, run_ids: Sequence[str], lease_ms: int) -> None:
    """Renew the lease of those of these runs that are still the worker's."""
    mine = and_(Run.id.in_(run_ids), Run.owner == owner, Run.state == "running")
    session.execute(update(Run).where(mine).values(lease_until=database_now_ms() + lease_ms))


def has_expired(session: Session) -> bool:
    """Whether the lease of a running run has ended."""
    return session.scalar(select(Run.id).where(_is_expired()).limit(1)) is not None


def _is_expired() -> ColumnElement[bool]:
    return and_(Run.state == "running", Run.lease_until < database_now_ms())


def list_expired(session: Session, limit: int) -> Sequence[Run]:
    """Running runs whose lease has ended, locked; those that another sweeper has locked are left to it."""
    query = select(Run).where(_is_expired()).order_by(Run.id).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def cancel_wish(session: Session, claim: Claim) -> Keep | None:
    """What to keep, if somebody wants this attempt to stop. Raises AttemptReplaced."""
    is_mine = and_(Run.id == claim.run_id, Run.owner == claim.owner, Run.attempt == claim.attempt, Run.state == "running")
    found = session.execute(select(Run.cancel_keep, Run.cancel_requested_at).where(is_mine)).one_or_none()
    if found is None:
        raise AttemptReplaced(claim.run_id, claim.attempt)
    return found.cancel_keep if found.cancel_requested_at is not None else None


def forget_outdated_keys(session: Session, before: datetime) -> None:
    """Let go of the Idempotency-Keys of runs that were accepted before a moment."""
    session.execute(update(Run).where(_has_key_from(before)).values(idempotency_key=None, request_hash=None))


def has_outdated_keys(session: Session, before: datetime) -> bool:
    """Whether there are Idempotency-Keys from before a moment."""
    return session.scalar(select(Run.id).where(_has_key_from(before)).limit(1)) is not None


def _has_key_from(before: datetime) -> ColumnElement[bool]:
    return and_(Run.idempotency_key.is_not(None), Run.created_at < before)


def list_epochs(session: Session, run_id: str) -> Sequence[Epoch]:
    """All finished epochs in order."""
    return session.scalars(select(Epoch).where(Epoch.run_id == run_id).order_by(Epoch.number)).all()


def delete_epochs_after(session: Session, run_id: str, number: int) -> None:
    """Forget the epochs that a new attempt does again."""
    session.execute(delete(Epoch).where(Epoch.run_id == run_id, Epoch.number > number))


def list_events_after(session: Session, run_id: str, number: int) -> Sequence[RunEvent]:
    """The events that follow a number, in order; at most ``EVENTS_AT_ONCE`` of them."""
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.number > number)
    return session.scalars(query.order_by(RunEvent.number).limit(EVENTS_AT_ONCE)).all()


def list_logs(session: Session, run_id: str, request: PageRequest) -> Page[RunEvent]:
    """One page of what the attempts of a run have logged, oldest first."""
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.kind == "log")
    return fetch_page(session, query, request, LOG_ORDERS, default="number")


def list_artifacts(session: Session, run_id: str) -> Sequence[RunArtifact]:
    """The files of a run by name."""
    return session.scalars(select(RunArtifact).where(RunArtifact.run_id == run_id).order_by(RunArtifact.name)).all()


def get_artifact(session: Session, run_id: str, name: str) -> RunArtifact:
    """A file of a run. Raises ArtifactNotFound."""
    artifact = session.get(RunArtifact, (run_id, name))
    if artifact is None:
        raise ArtifactNotFound(run_id, name)
    return artifact
