"""What goes over the wire for runs: requests, and what a client reads of a run."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from service.features.raw import first_repeated
from service.runs.states import Cause, Device, Kind, State
from service.spec.base import ResourceName, Spec
from service.spec.features import FeaturesSpec, TargetSpec
from service.spec.fit import FitSpec
from service.spec.frames import FailureType, Keep, Phase, PredictionFormat

Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Accepted(Spec):
    """What every request for a run has."""

    model: ResourceName
    """Name of the model."""
    dataset: Annotated[str, Field(max_length=80)]
    """Id of the dataset: the `id` that its upload was answered with."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Higher runs first; equal ones in the order of arrival."""
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    """Words to find the run by."""
    timeout_seconds: Annotated[float, Field(gt=0, le=30 * 24 * 3600)] | None = None
    """Longest time that the run may take, all its attempts together."""
    device: Device = "any"
    """Where to do it."""


class ContinueFrom(Spec):
    """Where a fit begins instead of fresh weights: with the result of an earlier one."""

    run: Annotated[str, Field(max_length=80)] | None = None
    """Id of the run to continue."""
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    """Or the number of a version of the model."""
    take: Literal["state", "weights"] = "state"
    """`state` goes on where the run has ended, bit for bit as if it had been asked for more `epochs` from the beginning;
    `weights` only starts with its weights, for other data or another optimizer."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.run is None) == (self.version is None):
            raise PydanticCustomError("one_source", "Give either 'run' or 'version'.")
        return self


class RunCreate(Accepted):
    """A request to fit a model on a dataset."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "my_model",
                    "dataset": "ds_01a20b40037677bf83159b06b0d2da20",
                    "fit": {"epochs": 50, "batch_size": 4, "validation_split": 0.2},
                    "seed": 1,
                    "tags": ["tutorial"],
                },
                {
                    "model": "flats",
                    "dataset": "ds_01a217d2b3d5753bb86d43046dd5c7dc",
                    "features": {
                        "inputs": {"facts": ["size", "rooms", "city"], "words": "about"},
                        "columns": {"about": {"type": "text"}},
                    },
                    "target": {"price": "price", "dear": "class"},
                    "fit": {"epochs": 60, "batch_size": 16, "validation_split": 0.2},
                },
            ]
        }
    )

    revision: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    """Revision of the model; the newest if left out."""
    target: TargetSpec | None = None
    """Column or array to predict, or several columns side by side; for a model with several outputs an object with either for
    each output, by its name. The dataset's own target if left out."""
    features: FeaturesSpec = FeaturesSpec()
    """How columns become the model's input; chosen automatically where left out."""
    fit: FitSpec = FitSpec()
    """The arguments of `model.fit`."""
    seed: Seed | None = None
    """Fixes all random numbers, so that the same request gives the same weights; drawn and stored if left out."""
    publish: bool = True
    """Whether to publish the result as a version that answers predictions."""
    test_dataset: Annotated[str, Field(max_length=80)] | None = None
    """Id of a dataset of the same columns to measure the result on at the end; nothing is learnt from it."""
    continue_from: ContinueFrom | None = None
    """An earlier fit to go on from; fresh weights if left out."""


class OfVersion(Accepted):
    """What every request has for a run that uses a version."""

    version: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    """Number of the version; the one that answers unversioned predictions if neither it nor an alias is given."""
    alias: ResourceName | None = None
    """Or an alias of the version; where it points to now, and not later, is what counts."""

    @model_validator(mode="after")
    def _names_one_version(self) -> Self:
        if self.version is not None and self.alias is not None:
            raise PydanticCustomError("one_version", "Give either 'version' or 'alias', or neither.")
        return self


class EvaluationCreate(OfVersion):
    """A request to measure a version on a dataset."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "my_model", "version": 1, "dataset": "ds_01a20b40037677bf83159b06b0d2da20"}]}
    )

    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    """Rows at a time; it changes no score but in the last digits."""
    sample_weight: Annotated[str, Field(max_length=1024)] | None = None
    """Column that says how much each row counts in the loss."""


class BatchPredictionCreate(OfVersion):
    """A request to predict every row of a dataset into a file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "my_model",
                    "alias": "production",
                    "dataset": "ds_01a20b40037677bf83159b06b0d2da20",
                    "columns": ["species"],
                    "format": "csv",
                }
            ]
        }
    )

    columns: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=10_000)] = []
    """Columns or arrays of the dataset to take over into the result, before the answers, such as an id; none if left out. The
    rows of the result are in the order of the dataset either way."""
    format: PredictionFormat = "parquet"
    """What the result is written as. In CSV a text that a spreadsheet would take for a formula has an apostrophe before it."""

    @field_validator("columns")
    @classmethod
    def _are_different(cls, columns: list[str]) -> list[str]:
        repeated = first_repeated(columns)
        if repeated is not None:
            raise PydanticCustomError("repeated_column", "Column '{name}' is named twice.", {"name": repeated[:80]})
        return columns


class CancelRequest(Spec):
    """How to stop a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keep": "none"}]})

    keep: Keep = "none"
    """Whether to publish what was learnt so far: nothing, the last weights, or those of the best epoch."""


class ProgressRead(Spec):
    """How far a run is."""

    epoch: int
    """The epoch that is being fitted, counted from 1; 0 before the first. A batch prediction has one."""
    epochs: int
    """Number of epochs asked for."""
    step: int
    """Steps done in this epoch; rows done of a batch prediction."""
    steps: int | None
    """Steps of one epoch, or rows of a batch prediction; unknown until the data is loaded."""
    fraction: float
    """Part of the work that is done, from 0 to 1."""
    eta_seconds: float | None
    """Estimated time until the end."""


class FailureRead(Spec):
    """Why a run has failed, or why its last attempt was lost."""

    type: FailureType
    """The kind of failure; it never changes its name."""
    message: str
    """What happened."""
    hint: str
    """What to do about it, in plain words."""


class AttemptRead(Spec):
    """One try of a worker to do the run."""

    number: int
    """Counts from 1."""
    worker_id: str
    """Id of the worker."""
    started_at: datetime
    """When the worker took the run."""
    ended_at: datetime | None
    """When the attempt was over; `null` while it goes on."""
    cause: Cause | None
    """Why it ended: `completed`, `cancelled`, `worker_shutdown`, or a kind of failure."""
    message: str | None
    """What happened, where the attempt had no result."""
    from_epoch: int
    """Epochs that earlier attempts had done, after which this one went on."""
    epoch: int
    """The epoch that it reached; 0 while it goes on."""


class PublishRead(Spec):
    """What became of the wish for a version."""

    state: Literal["pending", "published", "failed", "skipped"]
    """`pending` until the run ends; `skipped` where none was wanted or nothing was kept."""
    reason: str | None
    """Why there is no version."""


class ContinuesRead(Spec):
    """The earlier fit that a run goes on from."""

    run: str
    """Id of the run."""
    version: int | None
    """Number of the version, where that was named."""
    take: Literal["state", "weights"]
    """What was taken over."""


class RunRead(Spec):
    """One fit of a model on a dataset, or one evaluation or batch prediction of a version."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "run_01a20b40052676958af2ee9e1501afa3",
                    "kind": "fit",
                    "state": "running",
                    "phase": "fitting",
                    "model": "my_model",
                    "revision": 1,
                    "dataset": "ds_01a20b40037677bf83159b06b0d2da20",
                    "test_dataset": None,
                    "continues": None,
                    "evaluates": None,
                    "predicts_with": None,
                    "target": "species",
                    "features": {},
                    "chosen_features": {"petal_length": "number, standardized (mean 3.475, deviation 2.099)"},
                    "warnings": [],
                    "row_order": "whole",
                    "fit": {"epochs": 50, "batch_size": 4, "validation_split": 0.2},
                    "seed": 1,
                    "priority": 0,
                    "tags": ["tutorial"],
                    "timeout_seconds": None,
                    "device": "any",
                    "attempt": 1,
                    "failures": 0,
                    "attempts": [
                        {
                            "number": 1,
                            "worker_id": "wrk_01a20b3ff50a7ae1a54df01e6ea2dcd1",
                            "started_at": "2026-11-24T02:02:40.833724Z",
                            "ended_at": None,
                            "cause": None,
                            "message": None,
                            "from_epoch": 0,
                            "epoch": 0,
                        }
                    ],
                    "progress": {
                        "epoch": 20,
                        "epochs": 50,
                        "step": 1,
                        "steps": 1,
                        "fraction": 0.4,
                        "eta_seconds": 3.0,
                    },
                    "metrics": {"accuracy": 1.0, "loss": 0.412, "val_accuracy": 1.0, "val_loss": 0.385},
                    "queue_position": None,
                    "queued_seconds": None,
                    "waiting_reason": None,
                    "exact": True,
                    "inexact_reason": None,
                    "cancel_requested_at": None,
                    "failure": None,
                    "version": None,
                    "publish": {"state": "pending", "reason": None},
                    "created_at": "2026-11-24T02:02:40.645980Z",
                    "started_at": "2026-11-24T02:02:40.833724Z",
                    "finished_at": None,
                }
            ]
        }
    )

    id: str
    """Id of the run."""
    kind: Kind
    """What the run does: `fit` trains, `evaluate` measures, `predict` answers for every row of a dataset."""
    state: State
    """`queued`, `running`, then `succeeded`, `failed` or `cancelled`."""
    phase: Phase
    """What it is doing, or what it did last."""
    model: str
    """Name of the model."""
    revision: int
    """Revision of the model."""
    dataset: str
    """Id of the dataset."""
    test_dataset: str | None
    """Id of the dataset that the result is measured on at the end."""
    continues: ContinuesRead | None
    """The earlier fit that it goes on from."""
    evaluates: int | None
    """Number of the version that it measures, where `kind` is `evaluate`."""
    predicts_with: int | None
    """Number of the version that answers, where `kind` is `predict`."""
    target: str | list[str] | dict[str, Any] | None
    """What the model learns to predict, as the request or the dataset says it."""
    features: dict[str, Any]
    """What the request said about columns."""
    chosen_features: dict[str, str] | None
    """What becomes of each column, in words; known once the data is loaded."""
    warnings: list[str]
    """What the service noticed about the data, e.g. values that were not seen in training, with the number of rows."""
    row_order: Literal["whole", "windows"] | None
    """How the rows are shuffled: as a `whole`, or window by window where they are larger than the memory for it; `null` before
    the data is loaded."""
    fit: dict[str, Any]
    """The arguments of `model.fit`; or what was asked of an evaluation or batch prediction."""
    seed: int
    """The seed that fixes all random numbers."""
    priority: int
    """Higher runs first."""
    tags: list[str]
    """Words to find the run by."""
    timeout_seconds: float | None
    """Longest time that the fit may take."""
    device: Device
    """Where to fit."""
    attempt: int
    """How many times a worker has begun this run."""
    failures: int
    """How many attempts were lost with their worker."""
    attempts: list[AttemptRead]
    """Every attempt: who made it, from when to when, and why it ended."""
    progress: ProgressRead
    """How far it is."""
    metrics: dict[str, float] | None
    """Metrics of the last finished epoch."""
    queue_position: int | None
    """Place in the queue that all workspaces share; 1 is next, and `null` means that it is not queued."""
    queued_seconds: float | None
    """How long it has been waiting; `null` unless queued."""
    waiting_reason: str | None
    """Why no worker can take it now; `null` where it only waits for its turn."""
    exact: bool
    """Whether the result is the same, bit for bit, as that of a run that nothing had interrupted."""
    inexact_reason: str | None
    """Why it may differ, e.g. because it went on on another processor."""
    cancel_requested_at: datetime | None
    """When somebody asked to cancel it."""
    failure: FailureRead | None
    """Why it failed."""
    version: int | None
    """Number of the version that it has published."""
    publish: PublishRead
    """What became of the wish for a version."""
    created_at: datetime
    """When it was accepted."""
    started_at: datetime | None
    """When the present or last attempt began."""
    finished_at: datetime | None
    """When it ended."""


class RunPage(Spec):
    """One page of runs."""

    items: list[RunRead]
    """The runs of this page."""
    next_page_token: str | None
    """Token of the next page; `null` on the last one."""
