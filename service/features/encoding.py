"""Turns raw columns into tensors by a feature plan, for the trainer and the predictor alike. Knows no Keras, files or HTTP.

``encode_columns`` is the one implementation; what a request brings is first laid out as the same raw columns.
"""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from service.features.categories import write_category
from service.features.datetimes import write_datetime
from service.features.plan import (
    CategoryColumn,
    DatetimeColumn,
    ExcludedColumn,
    FeaturePlan,
    NumberColumn,
    TableInput,
    Target,
    TextColumn,
    UsedColumn,
)
from service.features.raw import Array
from service.features.texts import write_text

SCALED_ROWS = 1024
"""Rows that are scaled at once: as many as a processor's cache holds of some dozens of columns."""


def encode_columns(plan: TableInput, columns: Mapping[str, Array]) -> Array:
    """The tensor ``(rows, plan.width)`` of float32 for raw columns, as ``features.raw`` describes them."""
    used = used_columns(plan)
    rows = len(columns[used[0].column]) if used else 0
    encoded = np.zeros((rows, plan.width), dtype=np.float32)
    numbers = [column for column in used if isinstance(column, NumberColumn)]
    if numbers:
        measures = measures_of(numbers)
        values, places = [as_float64(columns[column.column]) for column in numbers], _places(used, numbers)
        for start in range(0, rows, SCALED_ROWS):
            raw = np.stack([column[start : start + SCALED_ROWS] for column in values], axis=1)
            encoded[start : start + SCALED_ROWS, places] = scale(measures, raw)
    for column, start in zip(used, starts_of(used), strict=True):
        if not isinstance(column, NumberColumn):
            _write(column, columns[column.column], encoded[:, start : start + column.width])
    return encoded


def encode_target(target: Target, values: Array) -> Array:
    """The truth ``(rows, k)`` for the loss: float32, or int32 places for ``index``."""
    if target.classes is None:
        return _as_rows(values).astype(np.float32)
    if target.encoding == "one_hot" and values.ndim == 2 and values.shape[1] > 1:
        return values.astype(np.float32)
    place_of = {label: place for place, label in enumerate(target.classes)}
    places = np.array(list(map(place_of.__getitem__, values.reshape(-1).tolist())), dtype=np.int32)
    if target.encoding == "one_hot":
        return np.eye(len(target.classes), dtype=np.float32)[places]
    return places[:, None] if target.encoding == "index" else places[:, None].astype(np.float32)


def used_columns(table: TableInput) -> list[UsedColumn]:
    """The columns that an input sees, in their order."""
    return [column for column in table.columns if not isinstance(column, ExcludedColumn)]


def columns_of(plan: FeaturePlan) -> list[UsedColumn]:
    """The columns that a model of a table sees, in their order; one that goes into several inputs counts once."""
    return list({column.column: column for table in plan.table_inputs for column in used_columns(table)}.values())


# Columns to numbers


def as_float64(values: Array) -> Array:
    """A raw column of numbers or booleans; what is missing is NaN."""
    return values.astype(np.float64, copy=False)  # numpy turns None into NaN, and booleans into 0 and 1


def measures_of(numbers: list[NumberColumn]) -> Array:
    """``(5, numbers)``: missing, offset, divisor, low and high; what is not known is NaN."""
    return np.array([(c.missing, c.offset, c.divisor, c.low, c.high) for c in numbers], dtype=np.float64).T


def scale(measures: Array, raw: Array) -> Array:
    """``(value - offset) / divisor`` in float64, then rounded once to float32; ``raw`` has one column per number."""
    missing, offset, divisor = measures[:3]
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which the encoder of requests refuses
        filled = np.where(np.isnan(raw), missing, raw)
        scaled = np.divide(filled - offset, divisor, out=np.zeros_like(filled), where=divisor != 0)
        rounded: Array = scaled.astype(np.float32)
    return rounded


def _write(column: CategoryColumn | DatetimeColumn | TextColumn, values: Array, out: Array) -> None:
    if isinstance(column, CategoryColumn):
        write_category(column, values, out)
    elif isinstance(column, DatetimeColumn):
        write_datetime(column, values, out)
    else:
        write_text(column, values, out)


def starts_of(used: list[UsedColumn]) -> list[int]:
    """First place of each column in the tensor."""
    return [0, *accumulate(column.width for column in used)][:-1]


def _places(used: list[UsedColumn], numbers: list[NumberColumn]) -> Any:
    if len(used) == len(numbers):
        return slice(None)
    return [start for column, start in zip(used, starts_of(used), strict=True) if isinstance(column, NumberColumn)]


def _as_rows(values: Array) -> Array:
    return values[:, None] if values.ndim == 1 else values


def reach_of(low: Any, high: Any) -> tuple[Any, Any]:
    """The middle of the training range, and how far from it a number is worth a warning: one and a half of its widths."""
    return (low + high) / 2, 1.5 * (high - low)


def is_far_outside(values: Array, low: Any, high: Any) -> Array:
    """Which numbers are further from the training range than it is wide; false where any of the three is NaN."""
    centre, reach = reach_of(low, high)
    is_far: Array = np.abs(values - centre) > reach
    return is_far
