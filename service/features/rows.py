"""Lays the rows of a request out as raw columns, and says what is wrong with them and where."""

import math
from collections.abc import Iterator
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.categories import category_places
from service.features.datetimes import as_moments, parse_moment
from service.features.plan import (
    CategoryColumn,
    DatetimeColumn,
    FeaturePlan,
    NumberColumn,
    TextColumn,
    UsedColumn,
)
from service.features.raw import Array, escape

MAX_PROBLEMS = 20
MAX_WARNINGS = 20


class RowReader:
    """Lays rows out as raw columns and collects what is wrong with them.

    A row is an object by column name, or a list in the order of the used columns; null is missing.
    """

    def __init__(self, plan: FeaturePlan, used: list[UsedColumn], pointer: str) -> None:
        self._used = used
        self._known = {column.column for table in plan.table_inputs for column in table.columns}
        self._known |= {column.column for column in plan.unused} | {name for target in plan.targets for name in target.columns}
        self._pointer = pointer
        self._problems: list[Problem] = []
        self._unknown: dict[str, None] = {}

    def read(self, rows: list[Any]) -> tuple[dict[str, Array], list[str]]:
        """Raw columns by name, and warnings. Raises InvalidInput."""
        columns = self._plain_objects(rows) or self._cell_by_cell(rows)
        raw = {column.column: _as_raw(column, values) for column, values in zip(self._used, columns, strict=True)}
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
            return [self._cell(column, f"{where}/{escape(column.column)}", row) for column in self._used]
        if isinstance(row, list) and len(row) == len(self._used):
            return [self._checked(column, f"{where}/{i}", row[i]) for i, column in enumerate(self._used)]
        self._refuse_row(where, row)
        return [None] * len(self._used)

    def _refuse_row(self, where: str, row: Any) -> None:
        names = ", ".join(column.column for column in self._used[:10]) + (", …" if len(self._used) > 10 else "")
        if isinstance(row, list):
            received, message = f"{len(row)} values", "The row has the wrong number of values."
        else:
            received, message = shown(row), "This is no row."
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
            self._problems.append(Problem(where, fault, shown(value), _expected(column)))
        return value

    def _warnings(self, raw: dict[str, Array]) -> list[str]:
        unknown = [f"'{name[:80]}' is no column of this model and was ignored." for name in self._unknown]
        unseen = chain.from_iterable(
            _unseen(column, raw[column.column]) for column in self._used if isinstance(column, CategoryColumn)
        )
        return [*unknown, *unseen][:MAX_WARNINGS]


def _as_raw(column: UsedColumn, values: list[Any]) -> Array:
    if isinstance(column, NumberColumn):
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if isinstance(column, DatetimeColumn):
        return as_moments(values)
    raw = np.empty(len(values), dtype=object)
    raw[:] = values
    return raw


def _is_plain(column: UsedColumn, values: list[Any]) -> bool:
    """Whether a look at the types alone shows that nothing is wrong with a column."""
    types = set(map(type, values))
    match column:
        case CategoryColumn():
            return types <= {str, int, float, bool, NoneType}
        case TextColumn():
            return types <= {str, NoneType}
        case DatetimeColumn():
            return types <= {str, NoneType} and all(value is None or parse_moment(value) for value in values)
    allowed = {int, float, NoneType, bool} if column.is_boolean else {int, float, NoneType}
    return types <= allowed and all(map(_is_finite, filter(None, values)))


def _fault(column: UsedColumn, value: Any) -> str | None:
    """What is wrong with a value that is not null."""
    match column:
        case CategoryColumn():
            return None if isinstance(value, str | int | float) else "This is no category."
        case TextColumn():
            return None if isinstance(value, str) else "This is no text."
        case DatetimeColumn():
            is_moment = isinstance(value, str) and parse_moment(value) is not None
            return None if is_moment else "This is no date."
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
    if isinstance(column, TextColumn):
        return "a text"
    if isinstance(column, DatetimeColumn):
        return "a text such as 2026-01-31 or 2026-01-31T18:00:00Z"
    if isinstance(column, CategoryColumn):
        return "one of: " + ", ".join(str(label)[:40] for label in column.vocabulary[:10])
    return "true, false, 0 or 1" if column.is_boolean else "a number"


def _unseen(column: CategoryColumn, values: Array) -> Iterator[str]:
    places = category_places(column, values.tolist())
    unseen = dict.fromkeys(value for value, place in zip(values, places, strict=True) if place == 0 and value is not None)
    for value in unseen:
        yield f"{shown(value)} was not seen in column '{column.column}' in training; it counts as unknown."


def shown(value: Any) -> str:
    """A received value in a few characters."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "a very large integer"  # Python refuses to write out thousands of digits
    return repr(value)[:80]
