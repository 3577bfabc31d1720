"""Our part in Keras's loop: report, stop, save, go on, remember the best weights. The only seam into ``fit``."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras

from service.spec.frames import EpochEnded, Frame, Progress
from service.training.failures import NotFinite
from service.training.snapshots import Array, Budget, Progressed, State, assign, values_of, variables_of
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

    def __init__(self, report: Report, first_step: int) -> None:
        """``first_step``: steps of the first epoch that an earlier attempt has done."""
        super().__init__()
        self._report = report
        self._first_step = first_step
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
                Progress(epoch=self._epoch, step=self._first_step + batch + 1, metrics=finite_metrics(self._epoch, logs))
            )


class BestWeights(keras.callbacks.Callback):
    """Remembers the weights of the epoch with the lowest validation loss, or loss where nothing is validated."""

    def __init__(self, lowest: float | None = None, weights: list[Array] | None = None) -> None:
        """``lowest`` and ``weights``: what an earlier attempt has remembered."""
        super().__init__()
        self.lowest = lowest
        self.weights = weights or None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        metrics: dict[str, Any] = logs or {}
        value = float(metrics.get("val_loss", metrics.get("loss", math.inf)))
        if math.isfinite(value) and (self.lowest is None or value < self.lowest):
            self.lowest, self.weights = value, self.model.get_weights()

    def restore(self) -> bool:
        """Give the model its best weights back; False when no epoch has ended yet."""
        if self.weights is None:
            return False
        self.model.set_weights(self.weights)
        return True


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
    """Puts a saved state in place of the fresh one: Keras has built everything by the time it calls this."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state

    def on_train_begin(self, logs: Logs = None) -> None:
        assign(variables_of(self.model), self._state.variables)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Keras has just reset the metrics, which belong to the epoch that goes on."""
        if epoch == self._state.epoch and self._state.step:
            assign(self.model.metrics_variables, self._state.metrics)


class Snapshots(keras.callbacks.Callback):
    """Saves the state now and then, and always before the job is left to somebody else. The last callback but one."""

    def __init__(
        self, save: Save, wishes: Wishes, budget: Budget, first_step: int, steps: int, epochs: ReportEpoch, best: BestWeights
    ) -> None:
        super().__init__()
        self._save = save
        self._wishes = wishes
        self._budget = budget
        self._first_step = first_step
        self._steps = steps
        self._epochs = epochs
        self._best = best
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Not after an epoch's last step: what comes next is its end, and no fit can begin there."""
        step = self._first_step + batch + 1
        if step < self._steps:
            self._save_if_due(self._epoch, step, at_epoch_end=False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._first_step = 0
        self._save_if_due(epoch + 1, 0, at_epoch_end=True)

    def state(self, epoch: int, step: int) -> State:
        """Everything that another process needs to go on."""
        return State(
            epoch=epoch,
            step=step,
            progressed=Progressed(self._epochs.epochs, self._epochs.epoch_seconds if step else 0.0, self._best.lowest),
            variables=values_of(variables_of(self.model)),
            metrics=values_of(self.model.metrics_variables) if step else [],
            best=self._best.weights or [],
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
    """Takes the state when an epoch has ended: after the last one Keras may replace the weights by their averages."""

    def __init__(self, snapshots: Snapshots) -> None:
        super().__init__()
        self._snapshots = snapshots
        self.state: State | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.state = self._snapshots.state(epoch + 1, 0)


def finite_metrics(epoch: int, logs: Logs) -> dict[str, float]:
    """The metrics as floats, without those that are no number. Raises NotFinite when a loss is among them."""
    metrics = {name: float(value) for name, value in (logs or {}).items()}
    for name in ("loss", "val_loss"):
        if name in metrics and not math.isfinite(metrics[name]):
            raise NotFinite(epoch, name, metrics[name])
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
