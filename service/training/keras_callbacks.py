"""Keras's callbacks as a run asks for them, made so that another process can take them up where one has left them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from service.spec.callbacks import (
    CallbackBase,
    EpochSchedule,
    LearningRateScheduler,
    ModelCheckpoint,
    TensorBoard,
    learning_rate_of,
)
from service.spec.frames import EpochEnded
from service.training.building import as_keras
from service.training.snapshots import Array, Kept

Logs = dict[str, Any] | None

NEVER = 2**62
"""Epochs of patience that no fit has."""


class Resumable(keras.callbacks.Callback):
    """A callback whose state is part of a snapshot: the attributes that are named, and some arrays."""

    names: tuple[str, ...] = ()

    def kept(self) -> Kept:
        """What another one needs to go on."""
        return Kept({name: _plain(getattr(self, name)) for name in self.names}, self.kept_arrays())

    def resume(self, kept: Kept) -> None:
        """Go on where another one has stopped; called after ``on_train_begin``."""
        for name, value in kept.values.items():
            setattr(self, name, value)
        self.resume_arrays(kept.arrays)

    def kept_arrays(self) -> list[Array]:
        """Arrays of the state."""
        return []

    def resume_arrays(self, arrays: list[Array]) -> None:
        """Take the arrays back."""


class OfMeasuredEpochs(Resumable):
    """Looks only at epochs that have the metric: between two validations Keras would warn every time."""

    monitor: str

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.monitor in (logs or {}):
            super().on_epoch_end(epoch, logs)


class EarlyStopping(OfMeasuredEpochs, keras.callbacks.EarlyStopping):
    """Keras's, resumable."""

    names = ("wait", "stopped_epoch", "best", "best_epoch")

    def kept_arrays(self) -> list[Array]:
        return self.best_weights or []

    def resume_arrays(self, arrays: list[Array]) -> None:
        self.best_weights = arrays or None


class ReduceLROnPlateau(OfMeasuredEpochs, keras.callbacks.ReduceLROnPlateau):
    """Keras's, resumable; the learning rate itself is among the optimizer's variables."""

    names = ("wait", "cooldown_counter", "best")


class Best(EarlyStopping):
    """Remembers the weights of the best epoch, which ``ModelCheckpoint`` with ``save_best_only`` saves; stops nothing."""

    def __init__(self, monitor: str = "val_loss", mode: str = "auto") -> None:
        super().__init__(monitor=monitor, mode=mode, patience=NEVER, restore_best_weights=True)

    def on_train_end(self, logs: Logs = None) -> None:
        """The last weights stay."""

    def restore(self) -> bool:
        """Give the model its best weights; False when no epoch has been measured yet."""
        if self.best_weights is None:
            return False
        self.model.set_weights(self.best_weights)
        return True


class TensorBoardLogs(keras.callbacks.TensorBoard):
    """Keras's, which writes the epochs of earlier attempts first, so that the logs are whole wherever the run was done."""

    def __init__(self, folder: Path, histogram_freq: int, history: list[EpochEnded]) -> None:
        super().__init__(str(folder), histogram_freq=histogram_freq, write_graph=False)
        self._frequency = histogram_freq
        self._earlier = list(history)

    def on_train_begin(self, logs: Logs = None) -> None:
        super().on_train_begin(logs)
        self.histogram_freq = 0  # the weights of those epochs are gone
        for epoch in self._earlier:
            self.on_epoch_end(epoch.epoch - 1, dict(epoch.metrics))
        self.histogram_freq = self._frequency


def make_callbacks(specs: Sequence[CallbackBase], tensorboard: Path, history: list[EpochEnded]) -> list[keras.callbacks.Callback]:
    """The callbacks in their order; ``history`` is what an earlier attempt has done."""
    return [_make(spec, tensorboard, history) for spec in specs]


def _make(spec: CallbackBase, tensorboard: Path, history: list[EpochEnded]) -> keras.callbacks.Callback:
    match spec:
        case LearningRateScheduler(schedule=schedule):
            return keras.callbacks.LearningRateScheduler(_by_epoch(schedule))
        case ModelCheckpoint(monitor=monitor, mode=mode):
            return Best(monitor, mode)
        case TensorBoard(histogram_freq=frequency):
            return TensorBoardLogs(tensorboard, frequency, history)
    arguments = {name: as_keras(value) for name, value in spec.arguments()}
    kind = {"EarlyStopping": EarlyStopping, "ReduceLROnPlateau": ReduceLROnPlateau}[spec.type]
    return kind(**arguments)


def _by_epoch(schedule: EpochSchedule) -> Any:
    return lambda epoch, _: learning_rate_of(schedule, epoch)


def _plain(value: Any) -> float | int | None:
    """A number as JSON has it: Keras compares with arrays of one element."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if math.isfinite(float(value)) else None
