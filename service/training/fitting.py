"""Keras's ``fit`` over our blocks: as many steps at a time as keep it quick to stop."""

import math
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from service.spec.callbacks import ModelCheckpoint, TerminateOnNaN
from service.spec.compile import CompileSpec
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded, Keep
from service.training.adapting import settle
from service.training.building import compile_model, multiplications_per_row
from service.training.callbacks import (
    BeforeEvaluation,
    Report,
    ReportEpoch,
    ReportProgress,
    Restore,
    Save,
    Snapshots,
    StateAtEnd,
    StopWhenAsked,
)
from service.training.examples import Examples, Part
from service.training.feeding import Pace, blocks_in_order, feed, steps_of, training_blocks
from service.training.keras_callbacks import Best, Resumable, make_callbacks
from service.training.order import Order, order_of
from service.training.snapshots import (
    Budget,
    Progressed,
    State,
    UnreadableSnapshot,
    assign,
    check_shapes,
    values_of,
    variables_of,
)
from service.training.stepping import BlockFunction, block_function, nothing, test_function, train_function
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
BLOCK_BYTES = 16 * 1024 * 1024
"""Size of the rows of one execution."""


@dataclass(frozen=True)
class Fitted:
    """How a fit ended; the model holds the weights that are wanted."""

    epochs: list[EpochEnded]
    stopped: Keep | None = None
    """What to keep, where it was stopped."""
    note: str | None = None
    state: State | None = None
    """From where another run can go on, where it came to its end."""
    best: Best | None = None
    """The weights of the best epoch, where the request asks for them."""


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
    tensorboard: Path
    """Folder for the logs of a ``TensorBoard`` callback."""

    @property
    def steps(self) -> int:
        """Steps of a whole epoch."""
        return steps_of_epoch(self.examples.train.rows, self.spec)

    @property
    def order(self) -> Order:
        """How the rows are gone through."""
        train = self.examples.train
        return order_of(train.rows, train.row_bytes, self.seed, self.spec.shuffle)

    def check(self, state: State) -> None:
        """Raise UnreadableSnapshot when this fit cannot go on from the state."""
        check_shapes(variables_of(self.model), state.variables)
        if state.step:
            check_shapes(self.model.metrics_variables, state.metrics)
        callbacks = self._callbacks(state.progressed)
        if state.callbacks and len(state.callbacks) != len(callbacks.resumable):
            raise UnreadableSnapshot("A snapshot is of a fit with other callbacks.")
        if (state.epoch, state.step) > (self.spec.epochs, 0) or state.step >= self.steps:
            place = f"step {state.step} of epoch {state.epoch + 1}"
            raise UnreadableSnapshot(f"A snapshot was taken at {place}, where this fit cannot begin.")

    def run(self, state: State | None) -> Fitted:
        """Fit to the end, from a state that was checked if there is one. Raises SuspendAsked after a last save."""
        callbacks = self._callbacks(state.progressed if state is not None else Progressed())
        if state is not None:
            assign(variables_of(self.model), state.variables)
            settle(self.model)  # before the graphs of training and measuring are made, which hold the copies
        if state is not None and state.step:
            rest = self._call(callbacks, state, state.epoch + 1)
            if rest.stopped is not None or self.model.stop_training:
                return rest
            state = rest.state
        return self._call(callbacks, state, self.spec.epochs)

    def _call(self, callbacks: "_Callbacks", state: State | None, last_epoch: int) -> Fitted:
        """Keras's ``fit`` from ``state`` to the end of an epoch."""
        epoch, step = (state.epoch, state.step) if state is not None else (self.spec.initial_epoch, 0)
        progressed = state.progressed if state is not None else Progressed()
        epochs = ReportEpoch(self.report, progressed.history, progressed.epoch_seconds)
        snapshots = Snapshots(self.save, self.wishes, self.budget, step, self.steps, epochs, callbacks.resumable)
        end = StateAtEnd(snapshots, last_epoch)
        restore = [Restore(state, callbacks.resumable)] if state is not None else []
        ours = [epochs, ReportProgress(self.report, step, self.steps), snapshots, StopWhenAsked(self.wishes), end]
        try:
            self._fit_by_keras(epoch, step, epoch if progressed.is_over else last_epoch, [*callbacks.in_order, *restore, *ours])
        except StopAsked as stop:
            return self._stopped(stop.keep, epochs.epochs, callbacks.best)
        return Fitted(epochs.epochs, state=end.state or state, best=callbacks.checkpoint)

    def _fit_by_keras(self, epoch: int, step: int, last_epoch: int, callbacks: list[keras.callbacks.Callback]) -> None:
        train, batch_size = self.examples.train, self.spec.batch_size
        pace = Pace(batch_size, self.steps, self.model.steps_per_execution)
        with closing(feed(training_blocks(train, self.order, pace, epoch, step), train.size_bytes)) as executions:
            self.model.train_function = train_function(self._train_block, executions)
            self.model.test_function, begin_evaluation = self._test
            self.model.fit(
                nothing(),
                initial_epoch=epoch,
                epochs=last_epoch,
                steps_per_epoch=self.steps - step,
                callbacks=[BeforeEvaluation(begin_evaluation), *callbacks],
                shuffle=False,
                verbose=0,
                **self._validation_arguments,
            )

    @cached_property
    def _train_block(self) -> BlockFunction:
        random.seed(self.seed)  # AugMix draws its operations from Python's own numbers, when its graph is made
        return block_function(self.model, self.model.train_step, self.examples.train, self.spec.batch_size)

    @cached_property
    def _test(self) -> tuple[Callable[[Any], dict[str, Any]] | None, Callable[[], None]]:
        """The model's ``test_function``, and what is to be called before every evaluation."""
        part, batch_size = self.examples.validation, self.spec.batch_size
        if part is None:
            return None, lambda: None
        rows = self.model.steps_per_execution * batch_size
        return test_function(self.model, part, batch_size, lambda: blocks_in_order(part, rows))

    @property
    def _validation_arguments(self) -> dict[str, Any]:
        part = self.examples.validation
        if part is None:
            return {}
        steps = steps_of(part.rows, self.spec.batch_size)
        return {"validation_data": nothing(), "validation_steps": steps, "validation_freq": self.spec.validation_freq}

    def _stopped(self, keep: Keep, epochs: list[EpochEnded], best: Best) -> Fitted:
        if keep == "best" and best.restore():
            return Fitted(epochs, keep)
        if int(self.model.optimizer.iterations):  # before the first step there are no averages
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)  # as Keras does at the end of a fit
        note = "No epoch had ended when the run was stopped, so its last weights were kept." if keep == "best" else None
        return Fitted(epochs, keep, note)

    def _callbacks(self, progressed: Progressed) -> "_Callbacks":
        specs = [spec for spec in self.spec.callbacks if not isinstance(spec, TerminateOnNaN)]  # every fit does that
        made = make_callbacks(specs, self.tensorboard, progressed.history)
        of_run = Best("val_loss" if self.examples.validation is not None else "loss", "min")
        checkpoints = [callback for spec, callback in zip(specs, made, strict=True) if isinstance(spec, ModelCheckpoint)]
        return _Callbacks([*made, of_run], of_run, checkpoints[-1] if checkpoints else None)


@dataclass(frozen=True)
class _Callbacks:
    in_order: list[keras.callbacks.Callback]
    best: Best
    """By the loss, for somebody who stops the run and wants its best weights."""
    checkpoint: Best | None

    @property
    def resumable(self) -> list[Resumable]:
        return [callback for callback in self.in_order if isinstance(callback, Resumable)]


def compile_for_fit(model: keras.Model, spec: CompileSpec, part: Part, fit: FitSpec) -> None:
    """Compile a model for training rows, with as many steps at a time as this fit allows, and make all its variables."""
    steps = steps_of_epoch(part.rows, fit)
    at_once = steps_per_execution(steps, seconds_per_step(model, fit.batch_size), fit.batch_size * part.row_bytes)
    compile_model(model, spec, at_once)
    model.optimizer.build(model.trainable_variables)
    _make_metrics(model, part)


def _make_metrics(model: keras.Model, part: Part) -> None:
    """Keras would make the variables of metrics at the first batch: too late to give them their values back."""
    weights = {id(weight) for weight in model.weights}
    random_states = [variable for variable in model.variables if id(variable) not in weights]
    before = values_of(random_states)
    x, y, *_ = part.as_keras_takes([np.asarray(array[:1]) for array in part.arrays])
    answers = model(x, training=False)
    if len(part.targets) > 1:
        model.compute_loss(x, y, answers, training=False)  # which has a metric for each output's loss
    model.compute_metrics(x, y, answers)
    model.reset_metrics()
    assign(random_states, before)  # recurrent layers draw their masks even when nothing is trained


def steps_of_epoch(train_rows: int, fit: FitSpec) -> int:
    """Steps of an epoch."""
    return fit.steps_per_epoch or steps_of(train_rows, fit.batch_size)


def steps_per_execution(steps: int, step_seconds: float, step_bytes: int) -> int:
    """Cuts an epoch into executions of about the same length, within ``EXECUTION_SECONDS`` and ``BLOCK_BYTES``."""
    most = min(MAX_STEPS_PER_EXECUTION, int(EXECUTION_SECONDS / step_seconds), BLOCK_BYTES // max(1, step_bytes))
    return math.ceil(steps / math.ceil(steps / max(1, most)))


def seconds_per_step(model: keras.Model, batch_size: int) -> float:
    """A cautious guess from arithmetic alone, so that the same run is always cut in the same way."""
    seconds = STEP_SECONDS + PASSES * batch_size * multiplications_per_row(model) / MULTIPLICATIONS_PER_SECOND
    assert math.isfinite(seconds)
    return seconds
