"""What goes over the wire of what a run leaves: metrics, log, scores, files."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from service.spec.base import Spec
from service.spec.evaluation import ClassificationRead, Evaluation, RegressionRead
from service.spec.frames import LogLevel


class RunMetrics(Spec):
    """Metrics of all finished epochs in columns, like Keras's `History`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"epoch": [1, 2], "metrics": {"loss": [0.701, 0.655], "val_loss": [0.668, 0.634]}}]}
    )

    epoch: list[int]
    """Epoch numbers, counted from 1."""
    metrics: dict[str, list[float | None]]
    """One list per metric, as long as `epoch`; `null` where an epoch has no such metric."""


class LogRead(Spec):
    """A line of a run's log."""

    number: int
    """Number of the event that the line is."""
    attempt: int
    """The attempt that wrote it."""
    level: LogLevel
    """How serious it is."""
    message: str
    """What was logged, without paths of the machine."""
    created_at: datetime
    """When it was written."""


class LogPage(Spec):
    """One page of a run's log."""

    items: list[LogRead]
    """The lines, oldest first."""
    next_page_token: str | None
    """Token of the next page; `null` on the last one."""


class MetricsRead(Spec):
    """What Keras's `evaluate` gives."""

    metrics: dict[str, float | None]
    """The loss and the metrics of the model."""


class MeasuredClasses(MetricsRead, ClassificationRead):
    """How well a model tells classes apart."""


class MeasuredNumbers(MetricsRead, RegressionRead):
    """How near a model's numbers are to the truth."""


class MeasuredOutputs(MetricsRead):
    """How good each of several outputs is."""

    task: Literal["several outputs"]
    """What the model does: it answers several questions at once."""
    outputs: dict[str, Evaluation]
    """The scores of each output, by its name."""


Measured = Annotated[MeasuredClasses | MeasuredNumbers | MeasuredOutputs, Field(discriminator="task")]


class EvaluationRead(Spec):
    """How good the result of a run is, on rows that it has not learnt from."""

    validation: Measured | None
    """On the validation rows; `null` where there were none."""
    test: Measured | None
    """On the test dataset, or on the dataset of an evaluation; `null` where there was none."""


class ArtifactRead(Spec):
    """A file of a run."""

    name: str
    """Name of the file."""
    size_bytes: int
    """Its size in bytes."""
    sha256: str
    """SHA-256 of its content."""
    media_type: str
    """Its media type."""


class ArtifactList(Spec):
    """The files of a run."""

    items: list[ArtifactRead]
    """The files by name."""
    next_page_token: None
    """Always `null`: a run has few files."""
