"""Turns raw rows into tensors by a feature plan, for the trainer and the predictor alike. Knows no Keras, files or HTTP.

``encode_columns`` is the one implementation; rows of a request are first laid out as the same raw columns.
"""

from collections.abc import Mapping
from itertools import accumulate, chain
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.array_rows import encode_array_rows
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
from service.features.raw import Array, escape
from service.features.rows import MAX_PROBLEMS, MAX_WARNINGS, RowReader, shown
from service.features.texts import write_text

SCALED_ROWS = 1024
"""Rows that are scaled at once: as many as a processor's cache holds of some dozens of columns."""
NUMBERS = frozenset({int, float})


def encode_columns(plan: TableInput, columns: Mapping[str, Array]) -> Array:
    """The tensor ``(rows, plan.width)`` of float32 for raw columns, as ``features.raw`` describes them."""
    used = used_columns(plan)
    rows = len(columns[used[0].column]) if used else 0
    encoded = np.zeros((rows, plan.width), dtype=np.float32)
    numbers = [column for column in used if isinstance(column, NumberColumn)]
    if numbers:
        measures = _measures(numbers)
        values, places = [as_float64(columns[column.column]) for column in numbers], _places(used, numbers)
        for start in range(0, rows, SCALED_ROWS):
            raw = np.stack([column[start : start + SCALED_ROWS] for column in values], axis=1)
            encoded[start : start + SCALED_ROWS, places] = _scale(measures, raw)
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


def encode_rows(plan: FeaturePlan, rows: list[Any], pointer: str = "/rows") -> tuple[list[Array], list[str]]:
    """The tensors of the inputs for the rows of a request, and warnings.

    A row of a table is an object by column name, or a list in the order of the plan's used columns; null is missing.
    A boolean counts as 0 or 1 only in a column that held booleans in training. A row of arrays is an object by the names of
    the inputs; of a single one its nested lists of numbers may stand alone. Raises InvalidInput with at most 20 problems;
    ``pointer`` says where the rows stand in the client's document.
    """
    if not rows:
        problem = Problem(pointer, "There are no rows.", "an empty list", "at least one row")
        raise InvalidInput("There are no rows to predict.", [problem])
    if not plan.is_of_table:
        return encode_array_rows(plan.array_inputs, rows, pointer), []
    return _encode_table_rows(plan, rows, pointer)


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


def _measures(numbers: list[NumberColumn]) -> Array:
    """``(5, numbers)``: missing, offset, divisor, low and high; what is not known is NaN."""
    return np.array([(c.missing, c.offset, c.divisor, c.low, c.high) for c in numbers], dtype=np.float64).T


def _scale(measures: Array, raw: Array) -> Array:
    """``(value - offset) / divisor`` in float64, then rounded once to float32; ``raw`` has one column per number."""
    missing, offset, divisor = measures[:3]
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which encode_rows refuses
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


# Rows of a table


def _encode_table_rows(plan: FeaturePlan, rows: list[Any], pointer: str) -> tuple[list[Array], list[str]]:
    used = columns_of(plan)
    numbers = [column for column in used if isinstance(column, NumberColumn)]
    raw = _plain_numbers(rows, len(used)) if len(numbers) == len(used) else None
    if raw is not None:
        measures = _measures(numbers)
        tensors = _shared_out(plan, used, _scale(measures, raw))
        warnings = _far_outside(numbers, measures, raw)
    else:
        columns, warnings = RowReader(plan, used, pointer).read(rows)
        tensors = [encode_columns(table, columns) for table in plan.table_inputs]
        if numbers:
            values = np.stack([columns[column.column] for column in numbers], axis=1)
            warnings += _far_outside(numbers, _measures(numbers), values)
    for table, encoded in zip(plan.table_inputs, tensors, strict=True):
        if not np.isfinite(encoded).all():
            raise _not_finite(used, used_columns(table), rows, encoded, pointer)
    return tensors, warnings[:MAX_WARNINGS]


def _shared_out(plan: FeaturePlan, used: list[UsedColumn], scaled: Array) -> list[Array]:
    """The part of each input of numbers that are scaled all at once."""
    if len(plan.inputs) == 1:
        return [scaled]
    places = {column.column: place for place, column in enumerate(used)}
    return [scaled[:, [places[column.column] for column in used_columns(table)]] for table in plan.table_inputs]


def _plain_numbers(rows: list[Any], width: int) -> Array | None:
    """The quick way for lists of plain numbers; None where the rows are anything else."""
    if not all(type(row) is list and len(row) == width for row in rows):
        return None
    if not NUMBERS.issuperset(map(type, chain.from_iterable(rows))):
        return None
    try:
        raw = np.array(rows, dtype=np.float64)
    except OverflowError:
        return None
    return raw if np.isfinite(raw).all() else None


def _far_outside(numbers: list[NumberColumn], measures: Array, raw: Array) -> list[str]:
    """One warning for each column with values that are further from the training range than it is wide."""
    is_far = is_far_outside(raw, *measures[3:])
    if not is_far.any():
        return []
    warnings = []
    for place in np.flatnonzero(is_far.any(axis=0))[:MAX_WARNINGS].tolist():
        column, values = numbers[place], raw[is_far[:, place], place]
        if column.divisor:
            more = f" (and so are {len(values) - 1} more)" if len(values) > 1 else ""
            known = f"the training range {column.low:.6g} to {column.high:.6g}"
            warnings.append(f"Value {values[0]:.6g} of column '{column.column[:80]}' is far outside of {known}{more}.")
    return warnings


def is_far_outside(values: Array, low: Any, high: Any) -> Array:
    """Which numbers are further from the training range than it is wide; false where any of the three is NaN."""
    is_far: Array = np.abs(values - (low + high) / 2) > 1.5 * (high - low)
    return is_far


def _not_finite(
    used: list[UsedColumn], of_input: list[UsedColumn], rows: list[Any], encoded: Array, pointer: str
) -> InvalidInput:
    """The error for numbers that float32 cannot hold once they are scaled; ``of_input``: the columns of ``encoded``."""
    problems = []
    starts = {start: column.column for start, column in zip(starts_of(of_input), of_input, strict=True)}
    places = {column.column: place for place, column in enumerate(used)}
    for row, place in np.argwhere(~np.isfinite(encoded))[:MAX_PROBLEMS].tolist():
        name = starts[place]
        key, value = (escape(name), rows[row][name]) if isinstance(rows[row], dict) else (places[name], rows[row][places[name]])
        problems.append(
            Problem(f"{pointer}/{row}/{key}", "This number is too large.", shown(value), "a number near the training data")
        )
    return InvalidInput(f"Some numbers are too large. {problems[0].pointer}: {problems[0].message}", problems)
