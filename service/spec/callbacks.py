"""Keras's callbacks as data. Source: https://keras.io/api/callbacks."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.spec.base import KerasObject, Spec, accept_spellings

Monitor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,70}$")]
"""Name of a metric of an epoch: ``loss``, or one after ``val_`` for the validation rows."""
Mode = Literal["auto", "min", "max"]
EpochCount = Annotated[int, Field(ge=0, le=1_000_000)]
LearningRate = Annotated[float, Field(ge=0, le=1e6)]


class CallbackBase(KerasObject):
    namespace: ClassVar[str] = "keras.callbacks"


class MonitoringCallback(CallbackBase):
    """What callbacks that watch a metric have in common."""

    monitor: Monitor = "val_loss"
    """The metric to watch, e.g. `val_loss`, or `loss` where nothing is validated."""
    mode: Mode = "auto"
    """Whether small (`min`) or large (`max`) is good; `auto` tells it from the name, as Keras does."""


class EarlyStopping(MonitoringCallback):
    """Ends the fit when a metric has stopped getting better. Use it with validation rows, so that more epochs do no harm."""

    type: Literal["EarlyStopping"] = "EarlyStopping"
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """Smallest change that counts as better."""
    patience: EpochCount = 0
    """Epochs without improvement to wait."""
    baseline: float | None = None
    """Value that must be beaten for the fit to go on."""
    restore_best_weights: bool = False
    """Whether to end with the weights of the best epoch instead of the last."""
    start_from_epoch: EpochCount = 0
    """Epochs to wait before watching."""


class ReduceLROnPlateau(MonitoringCallback):
    """Makes the steps smaller when a metric has stopped getting better. Use it where you do not know a schedule beforehand."""

    type: Literal["ReduceLROnPlateau"] = "ReduceLROnPlateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the learning rate is multiplied by."""
    patience: EpochCount = 10
    """Epochs without improvement to wait."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0001
    """Smallest change that counts as better."""
    cooldown: EpochCount = 0
    """Epochs to wait after a change before watching again."""
    min_lr: LearningRate = 0.0
    """Smallest learning rate."""


class TableSchedule(Spec):
    """Learning rates by epoch: each holds until the next one begins."""

    type: Literal["table"] = "table"
    epochs: Annotated[list[EpochCount], Field(min_length=1, max_length=1000)]
    """Epochs, counted from 0 as Keras does, from which the rates hold; the first is 0."""
    learning_rates: Annotated[list[LearningRate], Field(min_length=1, max_length=1000)]
    """One learning rate for each."""

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        is_rising = all(a < b for a, b in zip(self.epochs, self.epochs[1:], strict=False))
        if len(self.epochs) != len(self.learning_rates) or self.epochs[0] != 0 or not is_rising:
            reason = "'epochs' must rise from 0, and 'learning_rates' needs one rate for each of them."
            raise PydanticCustomError("schedule_table", "{reason}", {"reason": reason})
        return self


class ExponentialSchedule(Spec):
    """`initial_learning_rate * decay_rate ** epoch`."""

    type: Literal["exponential"]
    initial_learning_rate: LearningRate
    """Learning rate of the first epoch."""
    decay_rate: Annotated[float, Field(gt=0, le=1)]
    """What the rate is multiplied by after every epoch."""


class StepSchedule(Spec):
    """`initial_learning_rate * factor ** (epoch // every)`."""

    type: Literal["step"]
    initial_learning_rate: LearningRate
    """Learning rate of the first epoch."""
    factor: Annotated[float, Field(gt=0, le=1)]
    """What the rate is multiplied by each time."""
    every: Annotated[int, Field(ge=1, le=1_000_000)]
    """Epochs between two changes."""


class CosineSchedule(Spec):
    """Falls from `initial_learning_rate` to `final_learning_rate` along half a cosine in `epochs` epochs."""

    type: Literal["cosine"]
    initial_learning_rate: LearningRate
    """Learning rate of the first epoch."""
    final_learning_rate: LearningRate = 0.0
    """Learning rate from epoch `epochs` on."""
    epochs: Annotated[int, Field(ge=1, le=1_000_000)]
    """Number of epochs that the fall takes."""


EpochSchedule = TableSchedule | ExponentialSchedule | StepSchedule | CosineSchedule


class LearningRateScheduler(CallbackBase):
    """Sets the learning rate at the beginning of every epoch. Use it for a plan by epochs; schedules of an optimizer go by
    steps."""

    type: Literal["LearningRateScheduler"] = "LearningRateScheduler"
    schedule: Annotated[EpochSchedule, Field(discriminator="type")]
    """The learning rate of each epoch, as a table or a formula by name."""


class TerminateOnNaN(CallbackBase):
    """Ends the fit when the loss is no number; Fitserve always does, and the run then fails as `not_finite`."""

    type: Literal["TerminateOnNaN"] = "TerminateOnNaN"


class ModelCheckpoint(MonitoringCallback):
    """Keeps the model of the best epoch as the file `best.keras`, beside the last one, `model.keras`. Use it where late epochs
    may be worse."""

    type: Literal["ModelCheckpoint"] = "ModelCheckpoint"
    save_best_only: Literal[True] = True
    """Always true: one file is kept."""


class TensorBoard(CallbackBase):
    """Leaves logs for TensorBoard as the file `tensorboard.zip`. Use it to see curves and weights in TensorBoard."""

    type: Literal["TensorBoard"] = "TensorBoard"
    histogram_freq: EpochCount = 0
    """Epochs between two histograms of the weights; 0 for none."""


CALLBACKS: tuple[type[CallbackBase], ...] = (
    EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, TerminateOnNaN, ModelCheckpoint, TensorBoard,
)  # fmt: skip
AnyCallback = Annotated[
    EarlyStopping | ReduceLROnPlateau | LearningRateScheduler | TerminateOnNaN | ModelCheckpoint | TensorBoard,
    Field(discriminator="type"),
]
Callback = Annotated[
    AnyCallback, BeforeValidator(accept_spellings("callback", *CALLBACKS), json_schema_input_type=str | AnyCallback)
]


def learning_rate_of(schedule: EpochSchedule, epoch: int) -> float:
    """The learning rate of an epoch, counted from 0."""
    match schedule:
        case TableSchedule(epochs=epochs, learning_rates=rates):
            return rates[max(place for place, begin in enumerate(epochs) if begin <= epoch)]
        case ExponentialSchedule(initial_learning_rate=initial, decay_rate=rate):
            return initial * rate**epoch
        case StepSchedule(initial_learning_rate=initial, factor=factor, every=every):
            return initial * factor ** (epoch // every)
        case CosineSchedule(initial_learning_rate=initial, final_learning_rate=final, epochs=epochs):
            part = (1 + math.cos(math.pi * min(epoch / epochs, 1.0))) / 2
            return final + (initial - final) * part


def formula_of(schedule: EpochSchedule) -> str:
    """``learning_rate_of`` as a Python expression in ``epoch``."""
    match schedule:
        case TableSchedule(epochs=epochs, learning_rates=rates):
            return f"dict(zip({epochs}, {rates}))[max(begin for begin in {epochs} if begin <= epoch)]"
        case ExponentialSchedule(initial_learning_rate=initial, decay_rate=rate):
            return f"{initial!r} * {rate!r} ** epoch"
        case StepSchedule(initial_learning_rate=initial, factor=factor, every=every):
            return f"{initial!r} * {factor!r} ** (epoch // {every})"
        case CosineSchedule(initial_learning_rate=initial, final_learning_rate=final, epochs=epochs):
            part = f"(1 + math.cos(math.pi * min(epoch / {epochs}, 1.0))) / 2"
            return f"{final!r} + ({initial!r} - {final!r}) * ({part})"
