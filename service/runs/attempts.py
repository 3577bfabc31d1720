"""What an attempt writes into the database: each function is one transaction, bound to the claim of the attempt.

All but ``claim`` raise AttemptReplaced when the attempt no longer owns its run, and nothing is written then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from service.infra.database import Database, database_moment
from service.infra.logging import get_logger
from service.models import repository as models
from service.models import service as models_service
from service.runs import repository
from service.runs.repository import Claim
from service.runs.service import finish
from service.runs.states import RETRIED_FAILURES, Kind
from service.runs.tables import Epoch, Run, RunArtifact, RunAttempt
from service.settings import Settings
from service.spec.frames import (
    EpochEnded,
    FailureType,
    Finished,
    Keep,
    LogLine,
    PhaseStarted,
    Planned,
    Progress,
    Resumed,
    RowsPlanned,
)
from service.workspaces.quotas import Quotas

log = get_logger(__name__)

KEPT_SNAPSHOTS: dict[Kind, int | None] = {"fit": 2, "evaluate": 0, "predict": None}
"""Of a fit the last one, and the one before in case its file is damaged; of a prediction all, since each is a part of it."""


@dataclass(frozen=True)
class StoredSnapshot:
    """What another attempt goes on from, in the artifact store: epochs done, and steps (rows of a prediction) of the next one."""

    sha256: str
    size_bytes: int
    epoch: int
    step: int


Observation = PhaseStarted | Planned | RowsPlanned | Resumed | Progress | EpochEnded | StoredSnapshot | LogLine


@dataclass(frozen=True)
class Failure:
    """Why an attempt has ended without a result."""

    type: FailureType
    message: str
    hint: str


@dataclass(frozen=True)
class StoredFile:
    """A file of the attempt that the artifact store has taken."""

    name: str
    sha256: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True)
class ClaimedRun:
    """What a worker needs to know to do a run."""

    claim: Claim
    kind: Kind
    definition: dict[str, Any]
    compile: dict[str, Any]
    fit: dict[str, Any]
    features: dict[str, Any]
    dataset: dict[str, Any]
    """``{"kind", "files": {name: sha256}, "classes": {array: names}}``"""
    sources: dict[str, Any]
    """What it reads beside its dataset, as ``runs.sources`` describes it."""
    target: Any
    seed: int
    wants_version: bool
    timeout_seconds: float | None
    spent_seconds: float
    """How long the earlier attempts have taken together."""
    snapshots: list[str]
    """SHA-256 of the snapshots to go on from, best first."""


@dataclass(frozen=True)
class Outcome:
    """How the transaction that was to end an attempt has left the run."""

    state: str
    version: int | None = None
    snapshots: list[str] = field(default_factory=list)
    """SHA-256 of the snapshots that nobody needs any more."""


def claim(database: Database, settings: Settings, owner: str, devices: Sequence[str]) -> ClaimedRun | None:
    """Take the best waiting run, or None when nothing waits that this worker can do."""
    lease_ms = int(settings.lease_seconds * 1000)
    with database.write() as session:
        run = repository.claim_next(session, owner, devices, lease_ms, Quotas.of(settings))
        return _claimed(run, owner) if run is not None else None


def _claimed(run: Run, owner: str) -> ClaimedRun:
    return ClaimedRun(
        claim=Claim(run.id, owner, run.attempt),
        kind=run.kind,
        definition=run.definition,
        compile=run.compile,
        fit=run.fit,
        features=run.features,
        dataset=run.dataset_files,
        sources=run.sources,
        target=run.target,
        seed=run.seed,
        wants_version=run.wants_version,
        timeout_seconds=run.timeout_seconds,
        spent_seconds=run.spent_seconds,
        snapshots=[snapshot["sha256"] for snapshot in run.snapshots],
    )


def record(database: Database, claim: Claim, observations: Sequence[Observation]) -> list[str]:
    """Write what the trainer has reported, in one transaction.

    Returns the SHA-256 of the snapshots that newer ones have replaced.
    """
    with database.write() as session:
        run = repository.get_owned(session, claim)
        before = _snapshot_hashes(run)
        for observation in observations:
            _apply(session, run, observation)
        stored = [observation.sha256 for observation in observations if isinstance(observation, StoredSnapshot)]
        return sorted({*before, *stored} - set(_snapshot_hashes(run)))


def _snapshot_hashes(run: Run) -> list[str]:
    return [snapshot["sha256"] for snapshot in run.snapshots]


def _apply(session: Session, run: Run, observation: Observation) -> None:
    match observation:
        case PhaseStarted(phase=phase):
            run.start_phase(phase)
        case Planned() | RowsPlanned():
            _note_plan(run, observation)
        case Resumed():
            _go_on_from(session, run, observation)
        case Progress(epoch=epoch, step=step):
            run.epoch, run.step = epoch, step
        case EpochEnded():
            _add_epoch(session, run, observation)
        case StoredSnapshot():
            run.snapshots = [vars(observation).copy(), *run.snapshots][: KEPT_SNAPSHOTS[run.kind]]
            run.stored_bytes = sum(snapshot["size_bytes"] for snapshot in run.snapshots)
        case LogLine(level=level, message=message):
            run.log(level, message)


def _add_epoch(session: Session, run: Run, ended: EpochEnded) -> None:
    """A commit whose answer got lost is repeated, so the epoch may be there already."""
    if session.get(Epoch, (run.id, ended.epoch)) is not None:
        return
    session.add(Epoch(run_id=run.id, number=ended.epoch, metrics=ended.metrics, seconds=ended.seconds))
    run.epoch, run.step, run.metrics = ended.epoch, (run.plan or {}).get("steps", 0), ended.metrics
    run.emit("epoch", {"epoch": ended.epoch, "metrics": ended.metrics, "seconds": ended.seconds})


def _note_plan(run: Run, planned: Planned | RowsPlanned) -> None:
    known = (run.plan or {}).get("warnings", [])
    run.plan = msgspec.structs.asdict(planned)
    run.inexact_reason = planned.inexact_reason or run.inexact_reason
    for warning in planned.warnings:
        if warning not in known:
            run.log("warning", warning)


def _go_on_from(session: Session, run: Run, resumed: Resumed) -> None:
    """Forget the epochs that this attempt does again."""
    session.flush()
    repository.delete_epochs_after(session, run.id, resumed.from_epoch)
    last = session.get(Epoch, (run.id, resumed.from_epoch))
    run.metrics = last.metrics if last is not None else None
    run.epoch, run.step = resumed.from_epoch + (resumed.from_step > 0), resumed.from_step
    run.inexact_reason = resumed.inexact_reason
    session.get_one(RunAttempt, (run.id, run.attempt)).from_epoch = resumed.from_epoch
    run.emit("resumed", {"attempt": run.attempt, "from_epoch": resumed.from_epoch, "from_step": resumed.from_step})


def cancel_wish(database: Database, claim: Claim) -> Keep | None:
    """What to keep, if somebody wants this attempt to stop. Raises AttemptReplaced."""
    with database.read() as session:
        return repository.cancel_wish(session, claim)


def complete(database: Database, claim: Claim, finished: Finished, files: Sequence[StoredFile]) -> Outcome:
    """End a run with its result: succeeded, or cancelled where a cancel came first; publish the version in the same commit."""
    with database.write() as session:
        run = repository.get_owned(session, claim)
        is_cancelled = run.cancel_requested_at is not None
        kept = {file.sha256 for file in files}  # a snapshot of the last epoch's end is the very file of the final state
        snapshots = [sha256 for sha256 in _snapshot_hashes(run) if sha256 not in kept]
        for file in files:
            session.add(RunArtifact(run_id=run.id, **vars(file)))
        run.metrics = finished.metrics or run.metrics
        if not (is_cancelled and run.cancel_keep == "none"):
            _publish(session, run, finished, files)
        run.end_attempt("cancelled" if is_cancelled else "completed")
        finish(session, run, "cancelled" if is_cancelled else "succeeded")
        run.stored_bytes = sum(file.size_bytes for file in files)
        return Outcome(run.state, run.version, snapshots)


def _publish(session: Session, run: Run, finished: Finished, files: Sequence[StoredFile]) -> None:
    run.publish_reason = finished.publish_reason
    if finished.publication is None or not run.wants_version:
        return
    model = models.get(session, run.workspace_id, run.model, lock=True)
    documents = {file.name: {key: value for key, value in vars(file).items() if key != "name"} for file in files}
    version = models_service.publish(session, model, run.id, run.revision, finished.publication, finished.metrics, documents)
    run.version = version.number


def fail(database: Database, claim: Claim, failure: Failure, settings: Settings) -> Outcome:
    """End an attempt that has no result: another one follows where that makes sense, otherwise the run has failed."""
    with database.write() as session:
        return _end_without_result(session, repository.get_owned(session, claim), failure, settings)


def _end_without_result(session: Session, run: Run, failure: Failure, settings: Settings) -> Outcome:
    log.warning("run.attempt_failed", run_id=run.id, attempt=run.attempt, type=failure.type, message=failure.message)
    snapshots = _snapshot_hashes(run)
    if run.cancel_requested_at is not None:
        _end_cancelled(session, run, failure.message)
        return Outcome(run.state, snapshots=snapshots)
    run.end_attempt(failure.type, failure.message)
    is_retried = failure.type in RETRIED_FAILURES
    run.failures += is_retried
    if is_retried and run.failures < settings.max_attempts:
        run.failure = vars(failure).copy()
        run.log("warning", f"{failure.message} Attempt {run.attempt} of this run has ended; another one follows.")
        _requeue(session, run, settings.retry_delay_seconds)
    else:
        run.failure = vars(failure) | {"message": _with_earlier_attempts(run, failure.message)}
        run.log("error", failure.message)
        finish(session, run, "failed")
    return Outcome(run.state, snapshots=snapshots if run.is_terminal else [])


def _with_earlier_attempts(run: Run, message: str) -> str:
    earlier = [f"{attempt.number} ({attempt.cause})" for attempt in run.attempts if attempt.number < run.attempt]
    return f"{message} Earlier attempts: {', '.join(earlier)}." if earlier else message


def _end_cancelled(session: Session, run: Run, message: str | None = None) -> None:
    run.end_attempt("cancelled", message)
    if run.cancel_keep != "none":
        run.publish_reason = "The fit had ended before its weights could be kept."
    finish(session, run, "cancelled")


def release(database: Database, claim: Claim) -> Outcome:
    """Give a run back to the queue because its worker stops; this does not count as a failure."""
    with database.write() as session:
        run = repository.get_owned(session, claim)
        snapshots = _snapshot_hashes(run)
        if run.cancel_requested_at is not None:
            _end_cancelled(session, run)
            return Outcome(run.state, snapshots=snapshots)
        run.end_attempt("worker_shutdown", "The worker was asked to stop.")
        _requeue(session, run, delay_seconds=0)
        return Outcome(run.state)


def _requeue(session: Session, run: Run, delay_seconds: float) -> None:
    run.not_before = database_moment(session) + int(delay_seconds * 1000)
    run.phase = "waiting"
    run.transition("queued")


def end_expired(session: Session, settings: Settings, limit: int = 100) -> int:
    """Take runs from workers that have shown no sign of life; returns how many."""
    expired = repository.list_expired(session, limit)
    for run in expired:
        message = f"Worker {run.owner} showed no sign of life for {settings.lease_seconds:g} seconds."
        hint = "The machine may have gone down or lost its network. The run goes on by itself, up to the limit of attempts."
        _end_without_result(session, run, Failure("lost_worker", message, hint), settings)
    return len(expired)
