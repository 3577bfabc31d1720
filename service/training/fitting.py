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
    ShouldStop,
    StopAsked,
    StopWhenAsked,
)
from service.training.data import Examples, steps_of, training_batches, validation_batches

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


def fit_model(
    model: keras.Model,
    spec: CompileSpec,
    examples: Examples,
    fit: FitSpec,
    seed: int,
    report: Report,
    should_stop: ShouldStop,
) -> Fitted:
    """Compile and fit. Raises NotFinite and whatever Keras raises."""
    steps = steps_of(examples.train_rows, fit.batch_size)
    is_short = steps * fit.epochs <= SHORT_FIT_STEPS
    at_once = 1 if is_short else steps_per_execution(steps, seconds_per_step(model, fit.batch_size))
    compile_model(model, spec, at_once)
    epochs, best = ReportEpoch(report), BestWeights()
    try:
        model.fit(
            training_batches(examples, fit, seed),
            epochs=fit.epochs,
            steps_per_epoch=steps,
            validation_data=validation_batches(examples, fit),
            callbacks=[epochs, best, ReportProgress(report), StopWhenAsked(should_stop)],
            shuffle=False,
            verbose=0,
        )
    except StopAsked as stop:
        return _stopped(stop.keep, epochs.epochs, best)
    return Fitted(epochs.epochs)


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
