"""Accepts runs: once the transaction is committed, a run will reach an end, whatever happens. Knows no HTTP."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.datasets import repository as datasets
from service.datasets.tables import Dataset
from service.errors import InvalidInput, Problem
from service.features.plan import FeaturePlan, read_plan
from service.features.roles import as_written
from service.infra.database import after_commit, now
from service.infra.ids import new_id
from service.infra.queue import Doorbell
from service.models import repository as models
from service.models.tables import Model, Version
from service.runs import repository, storage, volumes
from service.runs.batch_checks import batch_problems
from service.runs.checks import problems_of
from service.runs.errors import KeyInFlight
from service.runs.schemas import Accepted, BatchPredictionCreate, EvaluationCreate, OfVersion, RunCreate
from service.runs.sources import dataset_document, dataset_source, epochs_before, seed_of, start_source, version_source
from service.runs.tables import Run, RunTag
from service.spec.artifacts import EVALUATION, GRAPH, MODEL, PLAN
from service.workspaces import repository as workspaces
from service.workspaces.quotas import Quotas


@dataclass(frozen=True)
class Admission:
    """Who asks, and under which rules."""

    workspace_id: str
    key: str | None
    """The Idempotency-Key: the same one with the same request gives the same run again."""
    quotas: Quotas
    """What a workspace may use that has no numbers of its own."""
    max_epochs: int
    """Epochs that a run may have."""
    max_timeout_seconds: float
    """Longest time that a run may ask for."""


def create(session: Session, doorbell: Doorbell, admission: Admission, request: RunCreate) -> Run:
    """Accept a fit.

    Raises NotFound, InvalidInput, KeyInFlight, or QuotaExceeded where the workspace uses as much as it may.
    """
    _refuse_many_epochs(request, admission.max_epochs)
    return _admit(session, doorbell, admission, request, lambda: _new_fit(session, admission.workspace_id, request))


def create_evaluation(session: Session, doorbell: Doorbell, admission: Admission, request: EvaluationCreate) -> Run:
    """Accept an evaluation of a version. Raises as ``create`` does."""
    return _admit(session, doorbell, admission, request, lambda: _new_evaluation(session, admission.workspace_id, request))


def create_batch_prediction(session: Session, doorbell: Doorbell, admission: Admission, request: BatchPredictionCreate) -> Run:
    """Accept a prediction of every row of a dataset. Raises as ``create`` does."""
    return _admit(session, doorbell, admission, request, lambda: _new_prediction(session, admission.workspace_id, request))


def _admit(session: Session, doorbell: Doorbell, admission: Admission, request: Accepted, make: Callable[[], Run]) -> Run:
    _refuse_long(request, admission.max_timeout_seconds)
    request_hash = _hash(request)
    if admission.key is not None:
        earlier = repository.find_by_key(session, admission.workspace_id, admission.key)
        if earlier is not None:
            return _replay(earlier, request_hash)
    quotas = _check_room(session, admission)
    run = make()
    _check_volume(session, quotas, run)
    run.idempotency_key, run.request_hash = admission.key, request_hash if admission.key is not None else None
    session.add(run)
    try:
        session.flush()
    except IntegrityError as error:
        raise KeyInFlight from error
    run.emit("state", {"state": run.state, "phase": run.phase, "attempt": run.attempt})
    _hold(session, run)
    session.flush()
    after_commit(session, doorbell.ring)
    return run


def _hold(session: Session, run: Run) -> None:
    """Keep what the run needs from being deleted until it has ended."""
    models.hold(session, models.get(session, run.workspace_id, run.model), run.id)
    others = [source["id"] for source in run.sources.values() if "id" in source]
    for dataset_id in dict.fromkeys([run.dataset_id, *others]):
        datasets.hold(session, dataset_id, run.id)


def _check_room(session: Session, admission: Admission) -> Quotas:
    """What the workspace may use, which nobody else uses more of until the transaction ends. Raises QuotaExceeded."""
    workspace_id = admission.workspace_id
    quotas = workspaces.lock_quotas(session, workspace_id, admission.quotas)
    quotas.require("queued_runs", lambda: repository.count_in_state(session, workspace_id, "queued"))
    quotas.require("stored_bytes", lambda: storage.count_bytes(session, workspace_id))
    return quotas


def _check_volume(session: Session, quotas: Quotas, run: Run) -> None:
    quotas.require(
        "epoch_rows",
        lambda: volumes.count(session, run.workspace_id),
        run.counted_epochs * run.rows,
        lambda: volumes.seconds_to_release(session, run.workspace_id),
    )


def _hash(request: Accepted) -> str:
    document = [type(request).__name__, request.model_dump(mode="json", exclude_unset=True)]
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


def _new_run(model: Model, dataset: Dataset, request: Accepted, **fields: Any) -> Run:
    return Run(
        id=new_id("run"),
        workspace_id=model.workspace_id,
        state="queued",
        phase="waiting",
        queued_at=now(),
        attempt=0,
        snapshots=[],
        last_event=0,
        model=model.name,
        dataset_id=dataset.id,
        rows=dataset.rows,
        dataset_files=dataset_document(dataset),
        priority=request.priority,
        tags=[RunTag(tag=tag) for tag in sorted(set(request.tags))],
        timeout_seconds=request.timeout_seconds,
        device=request.device,
        **fields,
    )


def _refuse_many_epochs(request: RunCreate, max_epochs: int) -> None:
    if request.fit.epochs > max_epochs:
        problem = Problem("/fit/epochs", "There are too many epochs.", str(request.fit.epochs), f"at most {max_epochs}")
        raise InvalidInput("The run is too long.", [problem])


def _refuse_long(request: Accepted, most: float) -> None:
    if request.timeout_seconds is not None and request.timeout_seconds > most:
        problem = Problem("/timeout_seconds", "The time is too long.", f"{request.timeout_seconds:g}", f"at most {most:g}")
        raise InvalidInput("The run is too long.", [problem])


def _new_fit(session: Session, workspace_id: str, request: RunCreate) -> Run:
    model = models.get(session, workspace_id, request.model, lock=True)
    dataset = datasets.get(session, workspace_id, request.dataset, lock=True)
    revision = models.get_revision(session, model, request.revision)
    others = _other_datasets(session, workspace_id, request)
    problems = problems_of(dataset, others, request, revision)
    if problems:
        raise InvalidInput("The run does not fit its dataset.", problems)
    start = start_source(session, model, revision, request)
    sources = {role: dataset_source(other) for role, other in others.items()} | ({"start": start} if start else {})
    return _new_run(
        model,
        dataset,
        request,
        kind="fit",
        revision=revision.number,
        definition=revision.definition,
        compile=revision.compile,
        sources=sources,
        target=request.target if request.target is not None else dataset.target,
        features=request.features.as_document(),
        fit=request.fit.as_document(),
        counted_epochs=request.fit.epochs - max(request.fit.initial_epoch, epochs_before(session, start)),
        seed=_first_known(request.seed, seed_of(session, start), secrets.randbelow(2**31)),
        wants_version=request.publish,
    )


def _first_known(*seeds: int | None) -> int:
    return next(seed for seed in seeds if seed is not None)


def _other_datasets(session: Session, workspace_id: str, request: RunCreate) -> dict[str, Dataset]:
    wanted = {"validation": request.fit.validation_dataset, "test": request.test_dataset}
    return {role: datasets.get(session, workspace_id, name, lock=True) for role, name in wanted.items() if name is not None}


def _new_evaluation(session: Session, workspace_id: str, request: EvaluationCreate) -> Run:
    use = _Use.of(session, workspace_id, request)
    _check_names(use.dataset, use.targets, request.sample_weight)
    return use.new_run(
        session,
        request,
        kind="evaluate",
        sources={"evaluated": version_source(use.version, (MODEL, PLAN, EVALUATION))},
        fit=request.model_dump(include={"batch_size", "sample_weight"}, exclude_none=True),
    )


def _new_prediction(session: Session, workspace_id: str, request: BatchPredictionCreate) -> Run:
    use = _Use.of(session, workspace_id, request)
    problems = batch_problems(use.dataset, use.plan, request)
    if problems:
        raise InvalidInput(f"The version cannot predict this dataset. {problems[0].message}", problems)
    graph = (GRAPH,) if use.version.engine == "onnx" else ()
    return use.new_run(
        session,
        request,
        kind="predict",
        sources={"predicted_by": version_source(use.version, (MODEL, PLAN, *graph))},
        fit=request.model_dump(include={"columns", "format"}),
    )


@dataclass(frozen=True)
class _Use:
    """A version and the dataset that it is used on, locked against deletion."""

    model: Model
    dataset: Dataset
    version: Version
    plan: FeaturePlan

    @classmethod
    def of(cls, session: Session, workspace_id: str, request: OfVersion) -> "_Use":
        """What a request names. Raises NotFound."""
        model = models.get(session, workspace_id, request.model, lock=True)
        dataset = datasets.get(session, workspace_id, request.dataset, lock=True)
        version = models.resolve_version(session, model, request.version if request.version is not None else request.alias)
        return cls(model, dataset, version, read_plan(version.plan))

    @property
    def targets(self) -> dict[str, list[str]]:
        """The columns that each output predicts."""
        return {target.output: target.columns for target in self.plan.targets}

    def new_run(self, session: Session, request: OfVersion, **fields: Any) -> Run:
        """A run in which nothing is learnt."""
        revision = models.get_revision(session, self.model, self.version.revision)
        return _new_run(
            self.model,
            self.dataset,
            request,
            revision=revision.number,
            definition=revision.definition,
            compile=revision.compile,
            target=as_written(self.targets),
            features={},
            seed=0,
            counted_epochs=0,
            wants_version=False,
            **fields,
        )


def _check_names(dataset: Dataset, targets: dict[str, list[str]], sample_weight: str | None) -> None:
    names = [name for columns in targets.values() for name in columns]
    wanted = [
        *(("/dataset", name, "the target that the version predicts") for name in names),
        *([] if sample_weight is None else [("/sample_weight", sample_weight, "this column")]),
    ]
    problems = [
        Problem(pointer, f"The dataset has no '{name[:80]}', {what}.", expected=f"one of: {', '.join(dataset.names[:20])}")
        for pointer, name, what in wanted
        if name not in dataset.names
    ]
    if problems:
        raise InvalidInput("The version cannot be evaluated on this dataset.", problems)
