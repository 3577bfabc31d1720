"""Reads a database and an artifact store after the storm, and finds whatever is not as it was promised."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.datasets.tables import DatasetHold
from service.infra.artifacts import ArtifactStore, make_artifact_store, sha256_of
from service.infra.database import Database, database_now_ms, make_engine
from service.models.tables import ModelHold, Version
from service.runs.states import TERMINAL
from service.runs.tables import Epoch, Run, RunArtifact, RunAttempt, RunEvent
from service.settings import Settings
from tests.fakes.light_trainer import final_weights

STUCK_LEASES = 5
"""Many, since all sweepers may be dead at once, and take seconds to start on a busy machine."""


@dataclass(frozen=True)
class History:
    """What was found."""

    runs: int
    problems: list[str]
    states: Mapping[str, int]
    causes: Mapping[str, int]


def check(settings: Settings, accepted: list[str], *, is_light: bool = True) -> History:
    """Look at every accepted run."""
    database, store = Database(make_engine(settings)), make_artifact_store(settings)
    try:
        with database.read() as session:
            problems = [problem for run_id in accepted for problem in _check_run(session, store, run_id, is_light)]
            problems += _check_holds(session)
            states = Counter(session.scalars(select(Run.state)))
            causes = Counter(session.scalars(select(RunAttempt.cause)))
            return History(len(accepted), problems, states, causes)
    finally:
        database.close()


def count_stuck(settings: Settings, database: Database) -> int:
    """Running runs whose lease ended long ago, though no process stays dead or frozen for that long."""
    oldest = int(STUCK_LEASES * settings.lease_seconds * 1000)
    with database.read() as session:
        query = select(func.count()).where(Run.state == "running", Run.lease_until < database_now_ms() - oldest)
        return session.scalar(query) or 0


def _check_run(session: Session, store: ArtifactStore, run_id: str, is_light: bool) -> Iterator[str]:
    run = session.get(Run, run_id)
    if run is None:
        yield f"{run_id} is lost"
        return
    if run.state not in TERMINAL or run.state == "failed":
        yield f"{run_id} is {run.state}: {run.failure}"
        return
    yield from (f"{run_id}: {problem}" for problem in _check_ended(session, run))
    yield from (f"{run_id}: {problem}" for problem in _check_files(session, store, run, is_light))


def _check_ended(session: Session, run: Run) -> Iterator[str]:
    events = session.scalars(select(RunEvent).where(RunEvent.run_id == run.id).order_by(RunEvent.number)).all()
    if [event.number for event in events] != list(range(1, run.last_event + 1)):
        yield "its events have a gap"
    if [event.kind for event in events].count("done") != 1:
        yield "it has not exactly one end"
    attempts = session.scalars(select(RunAttempt).where(RunAttempt.run_id == run.id).order_by(RunAttempt.number)).all()
    if [attempt.number for attempt in attempts] != list(range(1, run.attempt + 1)):
        yield "its attempts have a gap"
    if any(attempt.cause is None for attempt in attempts):
        yield "an attempt has no end"
    committed = [attempt.number for attempt in attempts if attempt.cause == "completed"]
    if committed != ([run.attempt] if run.state == "succeeded" else []):
        yield f"attempts {committed} of {run.attempt} have committed a {run.state} run"
    epochs = session.scalars(select(Epoch.number).where(Epoch.run_id == run.id).order_by(Epoch.number)).all()
    if run.state == "succeeded" and list(epochs) != list(range(1, run.fit["epochs"] + 1)):
        yield f"its epochs are {epochs}"
    if run.snapshots:
        yield "it still has snapshots"


def _check_files(session: Session, store: ArtifactStore, run: Run, is_light: bool) -> Iterator[str]:
    versions = session.scalars(select(Version).where(Version.run_id == run.id)).all()
    promised = 1 if run.state == "succeeded" and run.wants_version else 0
    if not promised <= len(versions) <= 1 or any(version.number != run.version for version in versions):
        yield f"it has versions {[version.number for version in versions]}, and says {run.version}"
    artifacts = session.scalars(select(RunArtifact).where(RunArtifact.run_id == run.id)).all()
    hashes = {file.sha256 for file in artifacts} | {f["sha256"] for version in versions for f in version.files.values()}
    for sha256 in hashes:
        try:
            is_whole = sha256_of(store.local_path(sha256)) == sha256
        except FileNotFoundError:
            is_whole = False
        if not is_whole:
            yield f"its file {sha256} is not whole"
    if is_light and run.state == "succeeded":
        (weights,) = [store.read(file.sha256).decode() for file in artifacts if file.name == "weights"]
        expected = f"{run.seed} {run.fit['epochs']} {final_weights(run.seed, run.fit['epochs'])}"
        if weights != expected:
            yield f"its weights are {weights}, not {expected}"


def _check_holds(session: Session) -> Iterator[str]:
    for table in (DatasetHold, ModelHold):
        count = session.scalar(select(func.count()).select_from(table))
        if count:
            yield f"{count} rows are left in {table.__tablename__}"
