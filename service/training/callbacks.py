"""Our part in Keras's loop: report, stop, save, go on, remember the best weights. The only seam into ``fit``."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from service.spec.frames import EpochEnded, Frame, Progress
from service.training.failures import NotFinite
from service.training.keras_callbacks import Resumable
from service.training.snapshots import Budget, Progressed, State, assign, values_of, variables_of
from service.training.wishes import StopAsked, SuspendAsked, Wishes

Report = Callable[[Frame], None]
Save = Callable[[State, float], None]
"""Takes a state, and the monotonic seconds when the taking of it began."""
Logs = dict[str, Any] | None

PROGRESS_SECONDS = 0.2


class ReportEpoch(keras.callbacks.Callback):
    """Reports every finished epoch and collects the history."""

    def __init__(self, report: Report, epochs: list[EpochEnded], seconds_before: float) -> None:
        """``epochs``: the history so far. ``seconds_before``: what the first epoch has taken in an earlier attempt."""
        super().__init__()
        self._report = report
        self._seconds_before = seconds_before
        self._began = time.monotonic()
        self.epochs = list(epochs)

    @property
    def epoch_seconds(self) -> float:
        """How long the present epoch has taken so far."""
        return self._seconds_before + time.monotonic() - self._began

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Raises NotFinite when the loss is no number."""
        metrics = finite_metrics(epoch + 1, logs)
        self.epochs.append(EpochEnded(epoch=epoch + 1, metrics=metrics, seconds=self.epoch_seconds))
        self._seconds_before = 0.0
        self._began = time.monotonic()
        self._report(self.epochs[-1])


class ReportProgress(keras.callbacks.Callback):
    """Reports where the fit is, a few times a second."""

    def __init__(self, report: Report, first_step: int, steps: int) -> None:
        """``first_step``: steps of the first epoch that an earlier attempt has done. ``steps``: those of a whole epoch."""
        super().__init__()
        self._report = report
        self._first_step = first_step
        self._steps = steps
        self._epoch = 0
        self._due = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Raises NotFinite when the loss is no number: the rest of the epoch would be wasted."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + PROGRESS_SECONDS
            self._report(
                Progress(
                    epoch=self._epoch,
                    step=min(self._first_step + batch + 1, self._steps),
                    metrics=finite_metrics(self._epoch, logs),
                )
            )


class BeforeEvaluation(keras.callbacks.Callback):
    """Calls something whenever an evaluation begins."""

    def __init__(self, begin: Callable[[], None]) -> None:
        super().__init__()
        self._begin = begin

    def on_test_begin(self, logs: Logs = None) -> None:
        self._begin()


class StopWhenAsked(keras.callbacks.Callback):
    """Ends the fit at the next batch once somebody asks."""

    def __init__(self, wishes: Wishes) -> None:
        super().__init__()
        self._wishes = wishes

    def on_train_begin(self, logs: Logs = None) -> None:
        self._stop_if_asked()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._stop_if_asked()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        keep = self._wishes.stop()
        if keep is not None:
            raise StopAsked(keep)


class Restore(keras.callbacks.Callback):
    """Puts a saved state in place of the fresh one: Keras has built everything by the time it calls this.

    It comes after the callbacks of the request, which begin anew at ``on_train_begin``, and before ours.
    """

    def __init__(self, state: State, resumable: list[Resumable]) -> None:
        super().__init__()
        self._state = state
        self._resumable = resumable

    def on_train_begin(self, logs: Logs = None) -> None:
        assign(variables_of(self.model), self._state.variables)
        for callback, kept in zip(self._resumable, self._state.callbacks, strict=False):  # another fit's are left out
            callback.resume(kept)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Keras has just reset the metrics, which belong to the epoch that goes on."""
        if epoch == self._state.epoch and self._state.step:
            assign(self.model.metrics_variables, self._state.metrics)


class Snapshots(keras.callbacks.Callback):
    """Saves the state now and then, and always before the job is left to somebody else. The last callback but one."""

    def __init__(
        self,
        save: Save,
        wishes: Wishes,
        budget: Budget,
        first_step: int,
        steps: int,
        epochs: ReportEpoch,
        resumable: list[Resumable],
    ) -> None:
        super().__init__()
        self._save = save
        self._wishes = wishes
        self._budget = budget
        self._first_step = first_step
        self._steps = steps
        self._epochs = epochs
        self._resumable = resumable
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Not after an epoch's last step: what comes next is its end, and no fit can begin there."""
        step = self._first_step + batch + 1
        if step < self._steps:
            self._save_if_due(self._epoch, step, at_epoch_end=False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._save_if_due(epoch + 1, 0, at_epoch_end=True)

    def state(self, epoch: int, step: int) -> State:
        """Everything that another process needs to go on."""
        is_over = bool(self.model.stop_training) and not step
        return State(
            epoch=epoch,
            step=step,
            progressed=Progressed(list(self._epochs.epochs), self._epochs.epoch_seconds if step else 0.0, is_over),
            variables=values_of(variables_of(self.model)),
            metrics=values_of(self.model.metrics_variables) if step else [],
            callbacks=[callback.kept() for callback in self._resumable],
        )

    def _save_if_due(self, epoch: int, step: int, at_epoch_end: bool) -> None:
        is_leaving = self._wishes.suspend()
        if is_leaving or self._budget.is_due(at_epoch_end):
            began = time.monotonic()
            self._save(self.state(epoch, step), began)
            self._budget.note(time.monotonic() - began)
        if is_leaving:
            raise SuspendAsked


class StateAtEnd(keras.callbacks.Callback):
    """Takes the state when the last epoch has ended, before Keras puts averaged or best weights in place."""

    def __init__(self, snapshots: Snapshots, last_epoch: int) -> None:
        """``last_epoch``: number of the epoch (counted from 1) that a fit ends with unless a callback ends it sooner."""
        super().__init__()
        self._snapshots = snapshots
        self._last_epoch = last_epoch
        self.state: State | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if epoch + 1 == self._last_epoch or self.model.stop_training:
            self.state = self._snapshots.state(epoch + 1, 0)


def finite_metrics(epoch: int, logs: Logs) -> dict[str, float]:
    """The metrics as floats, without those that are no number. Raises NotFinite when a loss is among them.

    A metric of several numbers, such as F1Score of each class, becomes one for each: ``f1_score_0``, ``f1_score_1``, …
    """
    metrics: dict[str, float] = {}
    for name, value in (logs or {}).items():
        numbers = np.ravel(value).tolist()
        metrics |= {name: numbers[0]} if len(numbers) == 1 else {f"{name}_{place}": n for place, n in enumerate(numbers)}
    for name in ("loss", "val_loss"):
        if name in metrics and not math.isfinite(metrics[name]):
            raise NotFinite(epoch, name, metrics[name])
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def finite_or_none(value: Any) -> float | None:
    """A number as JSON has it."""
    return float(value) if math.isfinite(float(value)) else None
