"""Numbers and answers as columns of a file. Knows no model and no files."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from service.features.answers import AnswerColumn
from service.features.plan import Label

Array = np.ndarray[Any, Any]


def numbers_as_arrow(values: Array, is_known: Array | None = None) -> pa.Array:
    """A column of numbers ``(rows,)``, or of lists of numbers ``(rows, …)``; null where it is not known."""
    is_null = None if is_known is None else pa.array(~is_known)
    if values.ndim == 1:
        return pa.array(values, mask=None if is_known is None else ~is_known)
    column = pa.array(np.ascontiguousarray(values).reshape(-1))
    for axis in range(values.ndim - 1, 0, -1):
        count = math.prod(values.shape[:axis])
        offsets = pa.array(np.arange(count + 1) * values.shape[axis], pa.int32())
        column = pa.ListArray.from_arrays(offsets, column, mask=is_null if axis == 1 else None)
    return column


def answer_as_arrow(answer: AnswerColumn, is_known: Array) -> pa.Array:
    """A part of the answers; null where there is no prediction."""
    if answer.labels is None:
        return numbers_as_arrow(answer.values.astype(np.float64), is_known)
    labels = labels_as_arrow(answer.labels)
    if answer.values.ndim == 1:
        return labels.take(pa.array(answer.values, mask=~is_known))
    offsets = pa.array(np.concatenate([[0], answer.values.sum(axis=1).cumsum()]), pa.int32())
    return pa.ListArray.from_arrays(offsets, labels.take(pa.array(np.nonzero(answer.values)[1])), mask=pa.array(~is_known))


def labels_as_arrow(labels: list[Label]) -> pa.Array:
    """Classes of one type as they are, and of several types as texts."""
    try:
        return pa.array(labels)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([str(label) for label in labels])
