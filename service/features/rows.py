"""Lays the rows of a request out as raw columns, and says what is wrong with them and where."""

from itertools import chain
from typing import Any

from service.errors import InvalidInput, Problem
from service.features.cells import (
    MAX_PROBLEMS,
    Rules,
    are_plain,
    as_raw,
    expected_of,
    fault_of,
    ignored,
    shown,
    unknown_column,
    unseen_in,
)
from service.features.plan import CategoryColumn, FeaturePlan, UsedColumn
from service.features.raw import Array, escape


class RowReader:
    """Lays rows out as raw columns and collects what is wrong with them.

    A row is an object by column name, or a list in the order of the used columns; null is missing.
    """

    def __init__(self, plan: FeaturePlan, used: list[UsedColumn], pointer: str, rules: Rules) -> None:
        self._used = used
        self._known = plan.known_columns
        self._pointer = pointer
        self._rules = rules
        self._problems: list[Problem] = []
        self._unknown: dict[str, None] = {}

    def read(self, rows: list[Any]) -> tuple[dict[str, Array], list[str]]:
        """Raw columns by name, and warnings. Raises InvalidInput."""
        columns = self._plain_objects(rows) or self._cell_by_cell(rows)
        raw = {column.column: as_raw(column, values) for column, values in zip(self._used, columns, strict=True)}
        return raw, self._warnings(raw)

    def _plain_objects(self, rows: list[Any]) -> list[list[Any]] | None:
        """The quick way for objects of plain values; None where anything needs a closer look."""
        if not all(type(row) is dict and row.keys() <= self._known for row in rows):
            return None
        try:
            columns = [[row[column.column] for row in rows] for column in self._used]
        except KeyError:
            return None
        return columns if all(map(are_plain, self._used, columns)) else None

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
            self._note_unknown(where, [name for name in row if name not in self._known])
            return [self._cell(column, f"{where}/{escape(column.column)}", row) for column in self._used]
        if isinstance(row, list) and len(row) == len(self._used):
            return [self._checked(column, f"{where}/{i}", row[i]) for i, column in enumerate(self._used)]
        self._refuse_row(where, row)
        return [None] * len(self._used)

    def _note_unknown(self, where: str, names: list[str]) -> None:
        self._unknown.update(dict.fromkeys(names))
        if names and self._rules.refuses_unknown:
            self._problems.append(unknown_column(f"{where}/{escape(names[0][:80])}", names[0], self._used))

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
        self._problems.append(Problem(where, message, "nothing", expected_of(column), "Add it, or send null if it is not known."))
        return None

    def _checked(self, column: UsedColumn, where: str, value: Any) -> Any:
        fault = None if value is None else fault_of(column, value)
        if fault is not None:
            self._problems.append(Problem(where, fault, shown(value), expected_of(column)))
        return value

    def _warnings(self, raw: dict[str, Array]) -> list[str]:
        unseen = chain.from_iterable(
            unseen_in(column, raw[column.column]) for column in self._used if isinstance(column, CategoryColumn)
        )
        return [*map(ignored, self._unknown), *unseen]
