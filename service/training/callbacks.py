"""Our part in Keras's loop: report, stop, remember the best weights. The only seam into ``fit``."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from service.spec.frames import EpochEnded, Frame, Keep, Progress
from service.training.failures import NotFinite

Report = Callable[[Frame], None]
ShouldStop = Callable[[], Keep | None]
Logs = dict[str, Any] | None

PROGRESS_SECONDS = 0.2


class StopAsked(Exception):
    """Ends the fit at once; ``keep`` says which weights are wanted.

    Setting ``stop_training`` would still validate and report the unfinished epoch.
    """

    def __init__(self, keep: Keep) -> None:
        super().__init__(keep)
        self.keep = keep


class ReportEpoch(keras.callbacks.Callback):
    """Reports every finished epoch and collects the history."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report
        self._began = 0.0
        self.epochs: list[EpochEnded] = []

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Raises NotFinite when the loss is no number."""
        metrics = finite_metrics(epoch + 1, logs)
        self.epochs.append(EpochEnded(epoch=epoch + 1, metrics=metrics, seconds=time.monotonic() - self._began))
        self._report(self.epochs[-1])


class ReportProgress(keras.callbacks.Callback):
    """Reports where the fit is, a few times a second."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report
        self._epoch = 0
        self._due = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Raises NotFinite when the loss is no number: the rest of the epoch would be wasted."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + PROGRESS_SECONDS
            self._report(Progress(epoch=self._epoch, step=batch + 1, metrics=finite_metrics(self._epoch, logs)))


class StopWhenAsked(keras.callbacks.Callback):
    """Ends the fit at the next batch once somebody asks."""

    def __init__(self, should_stop: ShouldStop) -> None:
        super().__init__()
        self._should_stop = should_stop

    def on_train_begin(self, logs: Logs = None) -> None:
        self._stop_if_asked()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._stop_if_asked()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        keep = self._should_stop()
        if keep is not None:
            raise StopAsked(keep)


class BestWeights(keras.callbacks.Callback):
    """Remembers the weights of the epoch with the lowest validation loss, or loss where nothing is validated."""

    def __init__(self) -> None:
        super().__init__()
        self._lowest = math.inf
        self._weights: list[np.ndarray[Any, Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        metrics: dict[str, Any] = logs or {}
        value = float(metrics.get("val_loss", metrics.get("loss", math.inf)))
        if value < self._lowest:
            self._lowest, self._weights = value, self.model.get_weights()

    def restore(self) -> bool:
        """Give the model its best weights back; False when no epoch has ended yet."""
        if self._weights is None:
            return False
        self.model.set_weights(self._weights)
        return True


def finite_metrics(epoch: int, logs: Logs) -> dict[str, float]:
    """The metrics as floats, without those that are no number. Raises NotFinite when a loss is among them."""
    metrics = {name: float(value) for name, value in (logs or {}).items()}
    for name in ("loss", "val_loss"):
        if name in metrics and not math.isfinite(metrics[name]):
            raise NotFinite(epoch, name, metrics[name])
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
