"""Measures an array and plans what its numbers become; and does it, for the trainer and the predictor alike."""

from typing import NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import ArrayInput
from service.features.raw import Array, escape
from service.spec.features import ArrayFeature

BLOCK_ROWS = 4096
"""Rows that are measured at a time."""


class _Sums(NamedTuple):
    """What one pass through an array finds, for each place of its last axis."""

    rows: int
    low: Array
    high: Array
    mean: Array
    variance: Array


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
    sums = _measure(values, training)
    if not (np.isfinite(sums.mean).all() and np.isfinite(sums.variance).all()):
        problem = Problem(f"/features/arrays/{escape(array)}", "A number is not finite, or too large to measure.")
        raise InvalidInput(f"Array '{array}' cannot be scaled: a number is not finite, or too large.", [problem])
    if feature.scale == "min_max":
        low, high = float(sums.low.min()), float(sums.high.max())
        offset, divisor = [low], [high - low]
        words = f"numbers from {low:g} to {high:g} scaled to 0 to 1, shape {tuple(shape)} per row"
    else:
        offset, divisor = sums.mean.tolist(), np.sqrt(sums.variance).tolist()
        words = f"numbers, each place of the last axis standardized, shape {tuple(shape)} per row"
    return ArrayInput(name=name, array=array, shape=shape, dtype="float32", offset=offset, divisor=divisor), words


def _measure(values: Array, training: Array) -> _Sums:
    """Of the training rows, by blocks: the deviations of each are joined as Chan et al. (1979) do."""
    total: _Sums | None = None
    for start in range(0, len(values), BLOCK_ROWS):
        chosen = training[start : start + BLOCK_ROWS]
        if not chosen.any():
            continue
        block = values[start : start + BLOCK_ROWS][chosen]
        flat = block.reshape(-1, block.shape[-1] if block.ndim > 1 else 1).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            found = _Sums(len(flat), flat.min(axis=0), flat.max(axis=0), flat.mean(axis=0), flat.var(axis=0))
            total = found if total is None else _joined(total, found)
    assert total is not None, "there is something to train on"
    return total


def _joined(one: _Sums, other: _Sums) -> _Sums:
    rows = one.rows + other.rows
    share = other.rows / rows
    gap = other.mean - one.mean
    variance = one.variance * (1 - share) + other.variance * share + gap**2 * share * (1 - share)
    return _Sums(rows, np.minimum(one.low, other.low), np.maximum(one.high, other.high), one.mean + gap * share, variance)


def encode_array(plan: ArrayInput, values: Array) -> Array:
    """The tensor ``(rows, *plan.shape)`` of an array; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if plan.divisor:
            offset, divisor = np.array(plan.offset), np.array(plan.divisor)
            shaped = values.reshape(-1, *plan.shape).astype(np.float64) - offset
            values = np.divide(shaped, divisor, out=np.zeros_like(shaped), where=np.broadcast_to(divisor != 0, shaped.shape))
        return np.ascontiguousarray(values, dtype=plan.dtype).reshape(-1, *plan.shape)
