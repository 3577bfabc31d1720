"""Signs of life: what workers write about themselves, and what clients read of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.infra.database import Database, database_moment, database_now_ms
from service.runs import repository
from service.runs.tables import Run, Worker
from service.runs.worker_schemas import WorkerList, WorkerRead

SHOWN_FOR = timedelta(days=1)


@dataclass(frozen=True)
class WorkerIdentity:
    """Who a worker process is."""

    id: str
    host: str
    process_id: int
    slots: int


def announce(database: Database, identity: WorkerIdentity) -> None:
    """Make a new worker known."""
    with database.write() as session:
        moment = database_moment(session)
        session.add(Worker(**vars(identity), devices=[], versions={}, last_seen_ms=moment))


def describe(database: Database, worker_id: str, devices: list[str], versions: dict[str, str]) -> None:
    """Note what a worker's trainers can do, once they are ready."""
    with database.write() as session:
        session.execute(update(Worker).where(Worker.id == worker_id).values(devices=devices, versions=versions))


def beat(database: Database, worker_id: str, run_ids: Sequence[str], lease_seconds: float) -> None:
    """Show a sign of life, and renew the leases of the runs that the worker is doing.

    Only of these: a claim whose answer got lost on the way has nobody who works on it, and must run out.
    """
    with database.write() as session:
        session.execute(update(Worker).where(Worker.id == worker_id).values(last_seen_ms=database_now_ms()))
        if run_ids:
            repository.extend_leases(session, worker_id, run_ids, int(lease_seconds * 1000))


def list_living(session: Session, lease_seconds: float) -> Sequence[Worker]:
    """The workers that have shown a sign of life within a lease and have not stopped by themselves."""
    oldest = database_now_ms() - int(lease_seconds * 1000)
    return session.scalars(select(Worker).where(Worker.last_seen_ms >= oldest, Worker.is_stopped.is_(False))).all()


def say_goodbye(database: Database, worker_id: str) -> None:
    """Note that a worker has stopped by itself."""
    with database.write() as session:
        session.execute(update(Worker).where(Worker.id == worker_id).values(is_stopped=True))


def list_workers(session: Session, workspace_id: str, lease_seconds: float) -> WorkerList:
    """The workers of the last day, living ones first; of their runs, those of the workspace."""
    moment = database_moment(session)
    oldest = moment - int(SHOWN_FOR.total_seconds() * 1000)
    workers = session.scalars(select(Worker).where(Worker.last_seen_ms >= oldest).order_by(Worker.id.desc())).all()
    running = session.scalars(select(Run).where(Run.state == "running", Run.workspace_id == workspace_id)).all()
    alive_since = moment - int(lease_seconds * 1000)
    items = [_read(worker, alive_since, running) for worker in workers]
    return WorkerList(items=sorted(items, key=lambda worker: not worker.is_alive), next_page_token=None)


def _read(worker: Worker, alive_since_ms: int, running: Sequence[Run]) -> WorkerRead:
    return WorkerRead(
        id=worker.id,
        host=worker.host,
        process_id=worker.process_id,
        slots=worker.slots,
        devices=worker.devices,
        versions=worker.versions,
        is_alive=not worker.is_stopped and worker.last_seen_ms >= alive_since_ms,
        runs=[run.id for run in running if run.owner == worker.id],
        started_at=worker.started_at,
        last_seen_at=datetime.fromtimestamp(worker.last_seen_ms / 1000, UTC),
    )
