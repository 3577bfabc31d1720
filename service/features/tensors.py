"""Lays named tensors of a request out as raw columns, and says what is wrong with them and where."""

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.cells import (
    MAX_PROBLEMS,
    Place,
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
from service.features.plan import CategoryColumn, FeaturePlan, NumberColumn, UsedColumn
from service.features.raw import Array


class ColumnReader:
    """Reads one tensor ``(rows,)`` or ``(rows, 1)`` for each used column."""

    def __init__(
        self, plan: FeaturePlan, used: list[UsedColumn], pointers: Mapping[str, str], place: Place, rules: Rules
    ) -> None:
        self._used = used
        self._known = plan.known_columns
        self._pointers = pointers
        self._place = place
        self._rules = rules

    def read(self, tensors: Mapping[str, Array]) -> tuple[dict[str, Array], list[str]]:
        """Raw columns by name, and warnings. Raises InvalidInput."""
        unknown = [name for name in tensors if name not in self._known]
        if unknown and self._rules.refuses_unknown:
            problems = [unknown_column(self._pointers[name], name, self._used) for name in unknown[:MAX_PROBLEMS]]
            raise InvalidInput("Some inputs are no columns of the model.", problems)
        missing = [column for column in self._used if column.column not in tensors]
        if missing:
            problems = [_missing(column) for column in missing[:MAX_PROBLEMS]]
            raise InvalidInput(f"Some columns are missing. {problems[0].message}", problems)
        require_one_length(tensors)
        flat = {column.column: self._flat(column, tensors[column.column]) for column in self._used}
        raw = {column.column: self._read(column, flat[column.column]) for column in self._used}
        columns = (column for column in self._used if isinstance(column, CategoryColumn))
        unseen = chain.from_iterable(unseen_in(column, raw[column.column]) for column in columns)
        return raw, [*map(ignored, unknown), *unseen]

    def _flat(self, column: UsedColumn, tensor: Array) -> Array:
        if tensor.ndim == 1 or tensor.shape[1:] == (1,):
            return tensor.reshape(-1)
        pointer, expected = self._pointers[column.column], "shape (rows,) or (rows, 1)"
        problem = Problem(pointer, "A column has one value per row.", f"shape {tensor.shape}", expected)
        raise InvalidInput(f"Column '{column.column[:80]}' has the wrong shape.", [problem])

    def _read(self, column: UsedColumn, values: Array) -> Array:
        if isinstance(column, NumberColumn) and values.dtype.kind in ("iufb" if column.is_boolean else "iuf"):
            numbers = values.astype(np.float64)
            if not np.isinf(numbers).any():
                return numbers
        cells = _cells(values)
        if not are_plain(column, cells):
            self._refuse(column, cells)
        return as_raw(column, cells)

    def _refuse(self, column: UsedColumn, cells: list[Any]) -> None:
        faults = ((row, value, fault_of(column, value)) for row, value in enumerate(cells) if value is not None)
        problems = [
            Problem(self._place(row, column.column), fault, shown(value), expected_of(column))
            for row, value, fault in faults
            if fault
        ]
        if problems:
            message = f"{problems[0].pointer}: {problems[0].message}"
            raise InvalidInput(f"Column '{column.column[:80]}' cannot be used. {message}", problems[:MAX_PROBLEMS])


def _cells(values: Array) -> list[Any]:
    """The values as Python's, of which NaN is None."""
    cells: list[Any] = values.tolist()
    return [None if math.isnan(cell) else cell for cell in cells] if values.dtype.kind == "f" else cells


def _missing(column: UsedColumn) -> Problem:
    return Problem("", f"There is no '{column.column[:80]}'.", "nothing", expected_of(column), "Send a tensor of this name.")


def require_one_length(tensors: Mapping[str, Array]) -> None:
    """Raise InvalidInput where tensors differ in their number of rows, or have none."""
    lengths = {name: len(tensor) for name, tensor in tensors.items()}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name[:80]}: {length}" for name, length in list(lengths.items())[:10])
        problem = Problem("", "All inputs need equally many rows.", received)
        raise InvalidInput("The inputs have different numbers of rows.", [problem])
    if 0 in lengths.values():
        problem = Problem("", "There are no rows.", "an empty tensor", "at least one row")
        raise InvalidInput("There are no rows to predict.", [problem])
