"""Keras's callbacks as a run asks for them, made so that another process can take them up where one has left them."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

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


class Watching(Resumable):
    """Watches a metric, which is not there between two validations: Keras would warn every time."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* which is not available")
            super().on_epoch_end(epoch, logs)


class EarlyStopping(Watching, keras.callbacks.EarlyStopping):
    """Keras's, resumable."""

    names = ("wait", "stopped_epoch", "best", "best_epoch")

    def kept_arrays(self) -> list[Array]:
        return self.best_weights or []

    def resume_arrays(self, arrays: list[Array]) -> None:
        self.best_weights = arrays or None


class ReduceLROnPlateau(Watching, keras.callbacks.ReduceLROnPlateau):
    """Keras's, resumable; the learning rate itself is among the optimizer's variables."""

    names = ("wait", "cooldown_counter", "best")


class Best(EarlyStopping):
    """Remembers the weights of the best epoch, which ``ModelCheckpoint`` with ``save_best_only`` saves; stops nothing.

    Keras's own ``ModelCheckpoint`` also saves after every epoch that was not validated; such an epoch is never the best here.
    """

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


class TensorBoardLogs(Resumable, keras.callbacks.TensorBoard):
    """Keras's, resumable: the epochs of earlier attempts are written again, so that the logs are whole wherever it is done.

    Only the histograms of those epochs are missing: their weights are gone.
    """

    def __init__(self, folder: Path, histogram_freq: int, history: list[EpochEnded]) -> None:
        super().__init__(str(folder), histogram_freq=histogram_freq, write_graph=False)
        self._folder = folder
        self._unwritten = list(history)
        self._ends: list[tuple[int, float, int]] = []
        """Of every epoch: its number, and the learning rate and the optimizer's steps at its end."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        super().on_epoch_end(epoch, logs)
        optimizer = self.model.optimizer
        learning_rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        self._ends.append((epoch + 1, learning_rate, int(optimizer.iterations)))

    def kept_arrays(self) -> list[Array]:
        return [np.array(self._ends, dtype=np.float64).reshape(-1, 3)]

    def resume_arrays(self, arrays: list[Array]) -> None:
        """Also writes the epochs of earlier attempts, once, however often the fit is taken up in this one."""
        self._ends = [(int(epoch), learning_rate, int(steps)) for epoch, learning_rate, steps in arrays[0].tolist()]
        ends = {epoch: (learning_rate, steps) for epoch, learning_rate, steps in self._ends}
        training, validation = (tf.summary.create_file_writer(str(self._folder / name)) for name in ("train", "validation"))
        for epoch in self._unwritten:
            learning_rate, steps = ends[epoch.epoch]
            with training.as_default(step=epoch.epoch - 1):
                _write_training(epoch, learning_rate)
            with validation.as_default(step=epoch.epoch - 1):
                _write_validation(epoch, steps)
        self._unwritten = []


def _write_training(epoch: EpochEnded, learning_rate: float) -> None:
    """What Keras's ``TensorBoard`` writes of an epoch's training."""
    metrics = {name: value for name, value in epoch.metrics.items() if not name.startswith("val_")}
    for name, value in {**metrics, "learning_rate": learning_rate}.items():
        tf.summary.scalar(f"epoch_{name}", value)


def _write_validation(epoch: EpochEnded, steps: int) -> None:
    """What Keras's ``TensorBoard`` writes of an epoch's validation, after so many steps of the optimizer."""
    for name, value in epoch.metrics.items():
        if name.startswith("val_"):
            tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value)
            tf.summary.scalar(f"evaluation_{name.removeprefix('val_')}_vs_iterations", value, step=steps)


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
    """A number as Python has it: Keras compares with arrays of one element."""
    return value if value is None or isinstance(value, int) else float(value)
