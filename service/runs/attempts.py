"""What an attempt writes into the database: each function is one transaction, bound to the claim of the attempt.

All but ``claim`` raise AttemptReplaced when the attempt no longer owns its run, and nothing is written then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from service.infra.database import Database, database_moment
from service.infra.logging import get_logger
from service.models import repository as models
from service.models import service as models_service
from service.runs import repository
from service.runs.repository import Claim
from service.runs.service import finish
from service.runs.states import RETRIED_FAILURES
from service.runs.tables import Epoch, Run, RunArtifact
from service.settings import Settings
from service.spec.frames import EpochEnded, FailureType, Finished, Keep, PhaseStarted, Planned, Progress

log = get_logger(__name__)

Observation = PhaseStarted | Planned | Progress | EpochEnded


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
    definition: dict[str, Any]
    compile: dict[str, Any]
    fit: dict[str, Any]
    features: dict[str, Any]
    dataset_kind: Any
    dataset_files: dict[str, str]
    target: str | None
    seed: int
    wants_version: bool
    timeout_seconds: float | None


@dataclass(frozen=True)
class Outcome:
    """How the transaction that was to end an attempt has left the run."""

    state: str
    version: int | None = None


def claim(database: Database, owner: str, devices: Sequence[str], lease_seconds: float) -> ClaimedRun | None:
    """Take the best waiting run, or None when nothing waits that this worker can do."""
    with database.write() as session:
        run = repository.claim_next(session, owner, devices, int(lease_seconds * 1000))
        if run is None:
            return None
        repository.delete_epochs_after(session, run.id, 0)
        run.epoch, run.step, run.plan, run.metrics = 0, 0, None, None
        if run.attempt > 1:
            run.emit("resumed", {"attempt": run.attempt, "from_epoch": 0})
        return _claimed(run, owner)


def _claimed(run: Run, owner: str) -> ClaimedRun:
    return ClaimedRun(
        claim=Claim(run.id, owner, run.attempt),
        definition=run.definition,
        compile=run.compile,
        fit=run.fit,
        features=run.features,
        dataset_kind=run.dataset_files["kind"],
        dataset_files=run.dataset_files["files"],
        target=run.target,
        seed=run.seed,
        wants_version=run.wants_version,
        timeout_seconds=run.timeout_seconds,
    )


def record(database: Database, claim: Claim, observations: Sequence[Observation]) -> None:
    """Write what the trainer has reported, in one transaction."""
    with database.write() as session:
        run = repository.get_owned(session, claim)
        for observation in observations:
            _apply(session, run, observation)


def _apply(session: Session, run: Run, observation: Observation) -> None:
    match observation:
        case PhaseStarted(phase=phase):
            run.start_phase(phase)
        case Planned():
            names = ("features", "warnings", "epochs", "steps", "train_rows", "validation_rows", "parameters")
            run.plan = {name: getattr(observation, name) for name in names}
            for warning in observation.warnings:
                run.emit("log", {"level": "warning", "message": warning})
        case Progress(epoch=epoch, step=step):
            run.epoch, run.step = epoch, step
        case EpochEnded(epoch=number, metrics=metrics, seconds=seconds):
            session.add(Epoch(run_id=run.id, number=number, metrics=metrics, seconds=seconds))
            run.epoch, run.step, run.metrics = number, (run.plan or {}).get("steps", 0), metrics
            run.emit("epoch", {"epoch": number, "metrics": metrics, "seconds": seconds})


def cancel_wish(database: Database, claim: Claim) -> Keep | None:
    """What to keep, if somebody wants this attempt to stop."""
    with database.read() as session:
        return repository.cancel_wish(session, claim)


def complete(database: Database, claim: Claim, finished: Finished, files: Sequence[StoredFile]) -> Outcome:
    """End a run with its result: succeeded, or cancelled where a cancel came first; publish the version in the same commit."""
    with database.write() as session:
        run = repository.get_owned(session, claim)
        is_cancelled = run.cancel_requested_at is not None
        for file in files:
            session.add(RunArtifact(run_id=run.id, **vars(file)))
        if not (is_cancelled and run.cancel_keep == "none"):
            _publish(session, run, finished, files)
        finish(session, run, "cancelled" if is_cancelled else "succeeded")
        return Outcome(run.state, run.version)


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
    run.failure = vars(failure).copy()
    is_retried = failure.type in RETRIED_FAILURES
    run.failures += is_retried
    log.warning("run.attempt_failed", run_id=run.id, attempt=run.attempt, type=failure.type, message=failure.message)
    if run.cancel_requested_at is not None:
        finish(session, run, "cancelled")
    elif is_retried and run.failures < settings.max_attempts:
        _requeue(session, run, settings.retry_delay_seconds)
    else:
        finish(session, run, "failed")
    return Outcome(run.state)


def release(database: Database, claim: Claim) -> Outcome:
    """Give a run back to the queue because its worker stops; this does not count as a failure."""
    with database.write() as session:
        run = repository.get_owned(session, claim)
        if run.cancel_requested_at is not None:
            finish(session, run, "cancelled")
        else:
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
        hint = "The machine may have gone down or lost its network. The run starts again by itself, up to the limit."
        _end_without_result(session, run, Failure("lost_worker", message, hint), settings)
    return len(expired)
