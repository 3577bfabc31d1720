"""Decides what becomes of a client's wishes about runs. Knows no HTTP."""

import hashlib
import secrets

import orjson
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.datasets import repository as datasets
from service.datasets.tables import Dataset
from service.errors import InvalidInput, Problem, TooManyRequests
from service.infra.database import after_commit, now
from service.infra.ids import new_id
from service.infra.queue import Doorbell
from service.models import repository as models
from service.models.tables import Model
from service.runs import repository
from service.runs.errors import KeyInFlight, RunIsActive, RunIsOver
from service.runs.schemas import RunCreate
from service.runs.states import TerminalState
from service.runs.tables import Run, RunTag
from service.spec.frames import Keep

ROOM_RETRY_SECONDS = 10


def create(session: Session, doorbell: Doorbell, workspace_id: str, request: RunCreate, key: str | None, max_queued: int) -> Run:
    """Accept a run: once this transaction is committed, it will reach an end, whatever happens.

    The same Idempotency-Key with the same request gives the same run again.
    Raises NotFound, InvalidInput, KeyInFlight, or TooManyRequests when the workspace has ``max_queued`` runs that wait.
    """
    request_hash = _hash(request)
    if key is not None:
        earlier = repository.find_by_key(session, workspace_id, key)
        if earlier is not None:
            return _replay(earlier, request_hash)
    _check_room(session, workspace_id, max_queued)
    model = models.get(session, workspace_id, request.model, lock=True)
    dataset = datasets.get(session, workspace_id, request.dataset, lock=True)
    run = _new_run(session, model, dataset, request)
    run.idempotency_key, run.request_hash = key, request_hash if key is not None else None
    session.add(run)
    try:
        session.flush()
    except IntegrityError as error:
        raise KeyInFlight from error
    run.emit("state", {"state": run.state, "phase": run.phase, "attempt": run.attempt})
    models.hold(session, model, run.id)
    datasets.hold(session, dataset.id, run.id)
    session.flush()
    after_commit(session, doorbell.ring)
    return run


def _check_room(session: Session, workspace_id: str, max_queued: int) -> None:
    repository.lock_workspace(session, workspace_id)
    waiting = repository.count_in_state(session, workspace_id, "queued")
    if waiting >= max_queued:
        message = f"{waiting} runs of this workspace wait already, and no more than {max_queued} may (FITSERVE_MAX_QUEUED_RUNS)."
        raise TooManyRequests(f"{message} Try again when some have begun, or cancel some.", ROOM_RETRY_SECONDS)


def _hash(request: RunCreate) -> str:
    document = request.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _replay(earlier: Run, request_hash: str) -> Run:
    if earlier.request_hash != request_hash:
        problem = Problem(
            "header:Idempotency-Key",
            "This key was used for another request.",
            fix="Use a new key for every new request, and the same key only to repeat one.",
        )
        raise InvalidInput(f"The Idempotency-Key belongs to run '{earlier.id}', whose request was different.", [problem])
    return earlier


def _new_run(session: Session, model: Model, dataset: Dataset, request: RunCreate) -> Run:
    revision = models.get_revision(session, model, request.revision)
    problems = [
        *_target_problems(dataset, request),
        *_feature_problems(dataset, request),
        *_fit_problems(dataset, request),
    ]
    if problems:
        raise InvalidInput("The run does not fit its dataset.", problems)
    return Run(
        id=new_id("run"),
        workspace_id=model.workspace_id,
        kind="fit",
        state="queued",
        phase="waiting",
        queued_at=now(),
        attempt=0,
        snapshots=[],
        last_event=0,
        model=model.name,
        revision=revision.number,
        definition=revision.definition,
        compile=revision.compile,
        dataset_id=dataset.id,
        dataset_files={"kind": dataset.kind, "files": {name: file["sha256"] for name, file in dataset.files.items()}},
        target=request.target or dataset.target,
        features=request.features.as_document(),
        fit=request.fit.as_document(),
        seed=request.seed if request.seed is not None else secrets.randbelow(2**31),
        priority=request.priority,
        tags=[RunTag(tag=tag) for tag in sorted(set(request.tags))],
        timeout_seconds=request.timeout_seconds,
        device=request.device,
        wants_version=request.publish,
    )


def _names(dataset: Dataset) -> list[str]:
    return [entry["name"] for entry in (dataset.columns if dataset.kind == "table" else dataset.arrays)]


def _target_problems(dataset: Dataset, request: RunCreate) -> list[Problem]:
    target = request.target or dataset.target
    expected = f"one of: {', '.join(_names(dataset)[:20])}"
    if target is None:
        return [Problem("/target", "Neither the run nor the dataset names a target.", expected=expected, fix="Name one.")]
    if target not in _names(dataset):
        return [Problem("/target", "The dataset has no such column.", target[:80], expected)]
    return []


def _feature_problems(dataset: Dataset, request: RunCreate) -> list[Problem]:
    unknown = sorted(set(request.features.columns) - set(_names(dataset)))
    return [
        Problem(f"/features/columns/{name[:80]}", "The dataset has no such column.", fix="Correct the name or leave it out.")
        for name in unknown[:20]
    ]


def _fit_problems(dataset: Dataset, request: RunCreate) -> list[Problem]:
    fit = request.fit
    training_rows = int(dataset.rows * (1 - fit.validation_split))
    if training_rows < 1:
        received = f"{fit.validation_split} of {dataset.rows} row(s)"
        return [Problem("/fit/validation_split", "It leaves no row to train on.", received, "a smaller part")]
    if fit.batch_size > training_rows and "batch_size" in fit.model_fields_set:
        received, expected = str(fit.batch_size), f"at most {training_rows}, the number of training rows"
        return [Problem("/fit/batch_size", "A batch is larger than the data.", received, expected)]
    return []


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
    run.snapshots = []
    run.transition(state)
    run.emit("done", {"state": state, "version": run.version, "failure": run.failure})
    models.release(session, run.id)
    datasets.release(session, run.id)


def delete(session: Session, workspace_id: str, run_id: str) -> None:
    """Forget a run that has ended; its version stays. Raises RunNotFound or RunIsActive."""
    run = repository.get(session, workspace_id, run_id, lock=True)
    if not run.is_terminal:
        raise RunIsActive(run.id, run.state)
    session.delete(run)
