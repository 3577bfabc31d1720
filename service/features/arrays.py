"""Measures an array and plans what its numbers become; and does it, for the trainer and the predictor alike."""

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import ArrayInput
from service.features.raw import Array, escape
from service.infra.moments import Moments
from service.spec.features import ArrayFeature

BLOCK_ROWS = 4096
"""Rows that are measured at a time."""


def plan_array(name: str, array: str, values: Array, feature: ArrayFeature, training: Array) -> tuple[ArrayInput, str]:
    """How ``values`` ``(rows, …)`` become an input, and that in a few plain words; measures the training rows alone.

    Raises InvalidInput where they cannot be scaled.
    """
    shape = list(values.shape[1:]) or [1]
    words = f"numbers as they are, shape {tuple(shape)} per row"
    if feature.scale == "none":
        return ArrayInput(name=name, array=array, shape=shape, dtype="float32"), words
    if values.dtype.kind not in "biuf":
        problem = Problem(f"/features/arrays/{escape(array)}", "The array holds no numbers.", str(values.dtype), "numbers")
        raise InvalidInput(f"Array '{array}' cannot be scaled: it holds no numbers.", [problem])
    measured = _measure(values, training)
    if not (np.isfinite(measured.mean).all() and np.isfinite(measured.std).all()):
        problem = Problem(f"/features/arrays/{escape(array)}", "A number is not finite, or too large to measure.")
        raise InvalidInput(f"Array '{array}' cannot be scaled: a number is not finite, or too large.", [problem])
    if feature.scale == "min_max":
        low, high = float(measured.min.min()), float(measured.max.max())
        offset, divisor = [low], [high - low]
        words = f"numbers from {low:g} to {high:g} scaled to 0 to 1, shape {tuple(shape)} per row"
    else:
        offset, divisor = measured.mean.tolist(), measured.std.tolist()
        words = f"numbers, each place of the last axis standardized, shape {tuple(shape)} per row"
    return ArrayInput(name=name, array=array, shape=shape, dtype="float32", offset=offset, divisor=divisor), words


def _measure(values: Array, training: Array) -> Moments:
    """Of the training rows, for each place of the last axis."""
    moments = Moments(axis=0)
    for start in range(0, len(values), BLOCK_ROWS):
        block = values[start : start + BLOCK_ROWS][training[start : start + BLOCK_ROWS]]
        moments.add(block.reshape(-1, values.shape[-1] if values.ndim > 1 else 1))
    return moments


def encode_array(plan: ArrayInput, values: Array) -> Array:
    """The tensor ``(rows, *plan.shape)`` of an array; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if plan.divisor:
            offset, divisor = np.array(plan.offset), np.array(plan.divisor)
            shaped = values.reshape(-1, *plan.shape).astype(np.float64) - offset
            values = np.divide(shaped, divisor, out=np.zeros_like(shaped), where=np.broadcast_to(divisor != 0, shaped.shape))
        return np.ascontiguousarray(values, dtype=plan.dtype).reshape(-1, *plan.shape)
