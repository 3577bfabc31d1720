"""Turns raw rows into tensors by a feature plan, for the trainer and the predictor alike. Knows no Keras, files or HTTP.

``encode_columns`` is the one implementation; rows of a request are first laid out as the same raw columns.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate, chain, repeat
from types import NoneType
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import (
    ArrayInput,
    CategoryColumn,
    ExcludedColumn,
    FeaturePlan,
    NumberColumn,
    TableInput,
    Target,
)

Array = np.ndarray[Any, Any]
UsedColumn = NumberColumn | CategoryColumn

MAX_PROBLEMS = 20
MAX_WARNINGS = 20
SCALED_ROWS = 1024
"""Rows that are scaled at once: as many as a processor's cache holds of some dozens of columns."""
NUMBERS = frozenset({int, float})


def encode_columns(plan: TableInput, columns: Mapping[str, Array]) -> Array:
    """The tensor ``(rows, plan.width)`` of float32 for raw columns: numbers with NaN, or objects with None, as missing."""
    used = used_columns(plan)
    rows = len(columns[used[0].column]) if used else 0
    encoded = np.zeros((rows, plan.width), dtype=np.float32)
    numbers = [column for column in used if isinstance(column, NumberColumn)]
    if numbers:
        values, places = [_as_float64(columns[column.column]) for column in numbers], _places(used, numbers)
        for start in range(0, rows, SCALED_ROWS):
            raw = np.stack([column[start : start + SCALED_ROWS] for column in values], axis=1)
            encoded[start : start + SCALED_ROWS, places] = _scale(numbers, raw)
    for column, start in zip(used, _starts(used), strict=True):
        if isinstance(column, CategoryColumn):
            _write_category(column, columns[column.column], encoded[:, start : start + column.width])
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


def encode_array(plan: ArrayInput, values: Array) -> Array:
    """The tensor ``(rows, *plan.shape)`` of an array."""
    return np.ascontiguousarray(values, dtype=plan.dtype).reshape(-1, *plan.shape)


def encode_rows(plan: FeaturePlan, rows: list[Any], pointer: str = "/rows") -> tuple[Array, list[str]]:
    """The tensor for the rows of a request, and warnings.

    A row of a table is an object by column name, or a list in the order of the plan's used columns; null is missing.
    A boolean counts as 0 or 1 only in a column that held booleans in training. A row of an array is nested lists of
    numbers. Raises InvalidInput with at most 20 problems; ``pointer`` says where
    the rows stand in the client's document.
    """
    if not rows:
        problem = Problem(pointer, "There are no rows.", "an empty list", "at least one row")
        raise InvalidInput("There are no rows to predict.", [problem])
    if isinstance(plan.input, ArrayInput):
        return _encode_array_rows(plan.input, rows, pointer), []
    return _encode_table_rows(plan.input, plan.target, rows, pointer)


def used_columns(plan: TableInput) -> list[UsedColumn]:
    """The columns that the model sees, in their order."""
    return [column for column in plan.columns if not isinstance(column, ExcludedColumn)]


# Columns to numbers


def _as_float64(values: Array) -> Array:
    return values.astype(np.float64, copy=False)  # numpy turns None into NaN, and booleans into 0 and 1


def _scale(numbers: list[NumberColumn], raw: Array) -> Array:
    """``(value - offset) / divisor`` in float64, then rounded once to float32; ``raw`` has one column per number."""
    missing, offset, divisor = (
        np.array([getattr(column, name) for column in numbers]) for name in ("missing", "offset", "divisor")
    )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which encode_rows refuses
        filled = np.where(np.isnan(raw), missing, raw)
        scaled = np.divide(filled - offset, divisor, out=np.zeros_like(filled), where=divisor != 0)
        rounded: Array = scaled.astype(np.float32)
    return rounded


def _write_category(column: CategoryColumn, values: Array, out: Array) -> None:
    places = _category_places(column, values.tolist())
    if column.encoding == "index":
        out[:, 0] = places
    else:
        out[np.arange(len(places)), places] = 1.0


def _category_places(column: CategoryColumn, values: list[Any]) -> list[int]:
    """Place of each value: 0 for missing and unseen ones. As in Python and JSON readers, 1, 1.0 and true are equal."""
    place_of = {label: place for place, label in enumerate(column.vocabulary, start=1)}
    return list(map(place_of.get, values, repeat(0)))


def _starts(used: list[UsedColumn]) -> list[int]:
    """First place of each column in the tensor."""
    return [0, *accumulate(column.width for column in used)][:-1]


def _places(used: list[UsedColumn], numbers: list[NumberColumn]) -> Any:
    if len(used) == len(numbers):
        return slice(None)
    return [start for column, start in zip(used, _starts(used), strict=True) if isinstance(column, NumberColumn)]


def _as_rows(values: Array) -> Array:
    return values[:, None] if values.ndim == 1 else values


# Rows of a table


def _encode_table_rows(plan: TableInput, target: Target | None, rows: list[Any], pointer: str) -> tuple[Array, list[str]]:
    used = used_columns(plan)
    warnings: list[str] = []
    encoded = _encode_plain_numbers(used, rows)
    if encoded is None:
        columns, warnings = _RowReader(plan, used, target, pointer).read(rows)
        encoded = encode_columns(plan, columns)
    if not np.isfinite(encoded).all():
        raise _not_finite(used, rows, encoded, pointer)
    return encoded, warnings


def _encode_plain_numbers(used: list[UsedColumn], rows: list[Any]) -> Array | None:
    """The quick way for lists of plain numbers; None where the rows are anything else."""
    numbers = [column for column in used if isinstance(column, NumberColumn)]
    if len(numbers) != len(used) or not all(type(row) is list and len(row) == len(used) for row in rows):
        return None
    if not NUMBERS.issuperset(map(type, chain.from_iterable(rows))):
        return None
    try:
        raw = np.array(rows, dtype=np.float64)
    except OverflowError:
        return None
    return _scale(numbers, raw) if np.isfinite(raw).all() else None


class _RowReader:
    """Lays rows out as raw columns and collects what is wrong with them."""

    def __init__(self, plan: TableInput, used: list[UsedColumn], target: Target | None, pointer: str) -> None:
        self._used = used
        self._known = {column.column for column in plan.columns} | ({target.name} if target else set())
        self._pointer = pointer
        self._problems: list[Problem] = []
        self._unknown: dict[str, None] = {}

    def read(self, rows: list[Any]) -> tuple[dict[str, Array], list[str]]:
        columns = self._plain_objects(rows) or self._cell_by_cell(rows)
        raw = {column.column: _as_objects(values) for column, values in zip(self._used, columns, strict=True)}
        return raw, self._warnings(raw)

    def _plain_objects(self, rows: list[Any]) -> list[list[Any]] | None:
        """The quick way for objects of plain values; None where anything needs a closer look."""
        if not all(type(row) is dict and row.keys() <= self._known for row in rows):
            return None
        try:
            columns = [[row[column.column] for row in rows] for column in self._used]
        except KeyError:
            return None
        return columns if all(map(_is_plain, self._used, columns)) else None

    def _cell_by_cell(self, rows: list[Any]) -> list[list[Any]]:
        columns: list[list[Any]] = [[] for _ in self._used]
        for index, row in enumerate(rows):
            for values, value in zip(columns, self._cells(index, row), strict=True):
                values.append(value)
            if len(self._problems) >= MAX_PROBLEMS:
                break
        if self._problems:
            message = f"{self._problems[0].pointer}: {self._problems[0].message}"
            raise InvalidInput(f"Some rows cannot be used. {message}", self._problems[:MAX_PROBLEMS])
        return columns

    def _cells(self, index: int, row: Any) -> list[Any]:
        where = f"{self._pointer}/{index}"
        if isinstance(row, dict):
            self._unknown.update(dict.fromkeys(name for name in row if name not in self._known))
            return [self._cell(column, f"{where}/{_escape(column.column)}", row) for column in self._used]
        if isinstance(row, list) and len(row) == len(self._used):
            return [self._checked(column, f"{where}/{i}", row[i]) for i, column in enumerate(self._used)]
        self._refuse_row(where, row)
        return [None] * len(self._used)

    def _refuse_row(self, where: str, row: Any) -> None:
        names = ", ".join(column.column for column in self._used[:10]) + (", …" if len(self._used) > 10 else "")
        if isinstance(row, list):
            received, message = f"{len(row)} values", "The row has the wrong number of values."
        else:
            received, message = _shown(row), "This is no row."
        expected = f"{len(self._used)} values in the order {names}, or an object by name"
        self._problems.append(Problem(where, message, received, expected))

    def _cell(self, column: UsedColumn, where: str, row: dict[str, Any]) -> Any:
        if column.column in row:
            return self._checked(column, where, row[column.column])
        message = f"The row has no '{column.column}'."
        self._problems.append(Problem(where, message, "nothing", _expected(column), "Add it, or send null if it is not known."))
        return None

    def _checked(self, column: UsedColumn, where: str, value: Any) -> Any:
        fault = None if value is None else _fault(column, value)
        if fault is not None:
            self._problems.append(Problem(where, fault, _shown(value), _expected(column)))
        return value

    def _warnings(self, raw: dict[str, Array]) -> list[str]:
        unknown = [f"'{name[:80]}' is no column of this model and was ignored." for name in self._unknown]
        unseen = chain.from_iterable(
            _unseen(column, raw[column.column]) for column in self._used if isinstance(column, CategoryColumn)
        )
        return [*unknown, *unseen][:MAX_WARNINGS]


def _as_objects(values: list[Any]) -> Array:
    raw = np.empty(len(values), dtype=object)
    raw[:] = values
    return raw


def _is_plain(column: UsedColumn, values: list[Any]) -> bool:
    """Whether a look at the types alone shows that nothing is wrong with a column."""
    types = set(map(type, values))
    if isinstance(column, CategoryColumn):
        return types <= {str, int, float, bool, NoneType}
    return types <= {int, float, NoneType} and all(map(_is_finite, filter(None, values)))


def _fault(column: UsedColumn, value: Any) -> str | None:
    """What is wrong with a value that is not null."""
    if isinstance(column, CategoryColumn):
        return None if isinstance(value, str | int | float) else "This is no category."
    if isinstance(value, bool):
        return None if column.is_boolean else "This is a boolean."
    if not isinstance(value, int | float):
        return "This is no number."
    return None if _is_finite(value) else "This number is not finite."


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _expected(column: UsedColumn) -> str:
    if isinstance(column, CategoryColumn):
        return "one of: " + ", ".join(str(label)[:40] for label in column.vocabulary[:10])
    return "true, false, 0 or 1" if column.is_boolean else "a number"


def _unseen(column: CategoryColumn, values: Array) -> Iterator[str]:
    places = _category_places(column, values.tolist())
    unseen = dict.fromkeys(value for value, place in zip(values, places, strict=True) if place == 0 and value is not None)
    for value in unseen:
        yield f"{_shown(value)} was not seen in column '{column.column}' in training; it counts as unknown."


def _not_finite(used: list[UsedColumn], rows: list[Any], encoded: Array, pointer: str) -> InvalidInput:
    """The error for numbers that float32 cannot hold once they are scaled."""
    problems = []
    starts = {start: i for i, start in enumerate(_starts(used))}
    for row, place in np.argwhere(~np.isfinite(encoded))[:MAX_PROBLEMS].tolist():
        index = starts[place]
        name = used[index].column
        value, key = (rows[row][name], _escape(name)) if isinstance(rows[row], dict) else (rows[row][index], str(index))
        problems.append(
            Problem(f"{pointer}/{row}/{key}", "This number is too large.", _shown(value), "a number near the training data")
        )
    return InvalidInput(f"Some numbers are too large. {problems[0].pointer}: {problems[0].message}", problems)


# Rows of an array


def _encode_array_rows(plan: ArrayInput, rows: list[Any], pointer: str) -> Array:
    values = _as_numbers(rows)
    if values is None or values.shape[1:] != tuple(plan.shape):
        raise _bad_array_rows(plan, rows, pointer)
    with np.errstate(over="ignore"):
        encoded = values.astype(plan.dtype)
    if not np.isfinite(encoded).all():
        row = int(np.argwhere(~np.isfinite(encoded))[0][0])
        problem = Problem(f"{pointer}/{row}", "A number is not finite or too large.", expected=f"finite {plan.dtype} numbers")
        raise InvalidInput(f"Row {row} holds a number that is not finite.", [problem])
    return encoded


def _as_numbers(values: Any) -> Array | None:
    """Nested lists as an array of numbers; None when they are ragged or hold anything else, booleans too."""
    if _holds_booleans(values):
        return None
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in "iuf" else None


def _holds_booleans(values: Any) -> bool:
    """Whether numpy would quietly turn a boolean into a number; whole lists are looked at, since single items are slow."""
    if not isinstance(values, list):
        return isinstance(values, bool)
    kinds = set(map(type, values))
    return bool in kinds or (list in kinds and any(map(_holds_booleans, values)))


def _bad_array_rows(plan: ArrayInput, rows: list[Any], pointer: str) -> InvalidInput:
    expected = f"numbers of shape {tuple(plan.shape)}"
    problems = []
    for index, row in enumerate(rows):
        values = _as_numbers(row)
        if values is None:
            problems.append(
                Problem(
                    f"{pointer}/{index}",
                    "The row is ragged or holds something else than numbers.",
                    _shown(row),
                    expected,
                )
            )
        elif values.shape != tuple(plan.shape):
            problems.append(Problem(f"{pointer}/{index}", "The row has the wrong shape.", f"shape {values.shape}", expected))
        if len(problems) == MAX_PROBLEMS:
            break
    message = f"Every row must be {expected}."
    return InvalidInput(message, problems or [Problem(pointer, "The rows do not fit together.", None, expected)])


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "a very large integer"  # Python refuses to write out thousands of digits
    return repr(value)[:80]


def _escape(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
