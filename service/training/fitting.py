"""Keras's ``fit`` over our batches: as many steps at a time as keep it quick to stop."""

import math
from dataclasses import dataclass

import keras

from service.spec.compile import CompileSpec
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded, Keep
from service.training.building import compile_model, multiplications_per_row
from service.training.callbacks import (
    BestWeights,
    Report,
    ReportEpoch,
    ReportProgress,
    Restore,
    Save,
    Snapshots,
    StateAtEnd,
    StopWhenAsked,
)
from service.training.data import Examples, steps_of, training_batches, validation_batches
from service.training.snapshots import Budget, Progressed, State, UnreadableSnapshot, check_shapes, variables_of
from service.training.wishes import StopAsked, Wishes

EXECUTION_SECONDS = 0.1
"""How long one execution may take by the estimate; well under the half second within which a stop is obeyed."""
MULTIPLICATIONS_PER_SECOND = 2e9
"""What a slow core does at least."""
STEP_SECONDS = 1e-4
"""What a step costs whatever the model."""
PASSES = 3
"""A training step costs about three forward passes."""
MAX_STEPS_PER_EXECUTION = 256
SHORT_FIT_STEPS = 1000
"""Up to here a fit is over sooner than TensorFlow would have compiled the loop over several steps."""


@dataclass(frozen=True)
class Fitted:
    """How a fit ended; the model holds the weights that are wanted."""

    epochs: list[EpochEnded]
    stopped: Keep | None = None
    """What to keep, where it was stopped."""
    note: str | None = None


@dataclass(frozen=True)
class Fit:
    """One fit of a compiled model; it may be done in several calls of Keras's ``fit``, which has no initial step."""

    model: keras.Model
    examples: Examples
    spec: FitSpec
    seed: int
    report: Report
    wishes: Wishes
    save: Save
    budget: Budget

    @property
    def steps(self) -> int:
        """Steps of a whole epoch."""
        return steps_of(self.examples.train_rows, self.spec.batch_size)

    def check(self, state: State) -> None:
        """Raise UnreadableSnapshot when this fit cannot go on from the state."""
        check_shapes(variables_of(self.model), state.variables)
        if state.best:
            check_shapes(self.model.weights, state.best)
        if state.step:
            self._build_metrics()
            check_shapes(self.model.metrics_variables, state.metrics)
        is_beyond = (state.epoch, state.step) > (self.spec.epochs, 0) or state.step >= self.steps
        if is_beyond or state.step % self.model.steps_per_execution:
            place = f"step {state.step} of epoch {state.epoch + 1}"
            raise UnreadableSnapshot(f"A snapshot was taken at {place}, where this fit cannot begin.")

    def run(self, state: State | None) -> Fitted:
        """Fit to the end, from a state that was checked if there is one. Raises SuspendAsked after a last save."""
        if state is not None and state.step:
            rest = self._call(state, state.epoch + 1)
            if rest.fitted.stopped is not None:
                return rest.fitted
            state = rest.state
        return self._call(state, self.spec.epochs).fitted

    def _build_metrics(self) -> None:
        """Keras makes the variables of metrics at the first batch, which is too late to give them their values back."""
        x, y = self.examples.x[:1], self.examples.y[:1]
        self.model.compute_metrics(x, y, self.model(x, training=False))

    def _call(self, state: State | None, last_epoch: int) -> "_Called":
        """Keras's ``fit`` from ``state`` to the end of an epoch."""
        epoch, step = (state.epoch, state.step) if state is not None else (0, 0)
        progressed = state.progressed if state is not None else Progressed()
        epochs = ReportEpoch(self.report, progressed.history, progressed.epoch_seconds)
        best = BestWeights(progressed.lowest, state.best if state is not None else None)
        snapshots = Snapshots(self.save, self.wishes, self.budget, step, self.steps, epochs, best)
        ours = [epochs, best, ReportProgress(self.report, step), snapshots, StopWhenAsked(self.wishes)]
        end = StateAtEnd(snapshots)
        try:
            self.model.fit(
                training_batches(self.examples, self.spec, self.seed, epoch, step),
                initial_epoch=epoch,
                epochs=last_epoch,
                steps_per_epoch=self.steps - step,
                validation_data=validation_batches(self.examples, self.spec),
                callbacks=[*([Restore(state)] if state is not None else []), *ours, *([end] if step else [])],
                shuffle=False,
                verbose=0,
            )
        except StopAsked as stop:
            return _Called(_stopped(stop.keep, epochs.epochs, best))
        return _Called(Fitted(epochs.epochs), end.state)


@dataclass(frozen=True)
class _Called:
    fitted: Fitted
    state: State | None = None


def compile_for_fit(model: keras.Model, spec: CompileSpec, train_rows: int, fit: FitSpec) -> None:
    """Compile, with as many steps at a time as this fit allows from its beginning, wherever it goes on."""
    steps = steps_of(train_rows, fit.batch_size)
    is_short = steps * fit.epochs <= SHORT_FIT_STEPS
    at_once = 1 if is_short else steps_per_execution(steps, seconds_per_step(model, fit.batch_size))
    compile_model(model, spec, at_once)
    model.optimizer.build(model.trainable_variables)


def steps_per_execution(steps: int, step_seconds: float) -> int:
    """The largest divisor of an epoch's steps that stays within ``EXECUTION_SECONDS``.

    Only a divisor ends an epoch where it should: Keras would run past the end otherwise.
    """
    most = min(steps, MAX_STEPS_PER_EXECUTION, max(1, int(EXECUTION_SECONDS / step_seconds)))
    return next(count for count in range(most, 0, -1) if steps % count == 0)


def seconds_per_step(model: keras.Model, batch_size: int) -> float:
    """A cautious guess from arithmetic alone, so that the same run is always cut in the same way."""
    seconds = STEP_SECONDS + PASSES * batch_size * multiplications_per_row(model) / MULTIPLICATIONS_PER_SECOND
    assert math.isfinite(seconds)
    return seconds


def _stopped(keep: Keep, epochs: list[EpochEnded], best: BestWeights) -> Fitted:
    if keep == "best" and not best.restore():
        return Fitted(epochs, keep, "No epoch had ended when the run was stopped, so its last weights were kept.")
    return Fitted(epochs, keep)
