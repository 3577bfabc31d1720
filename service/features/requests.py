"""Turns what a request brings into the tensors of a model's inputs: rows of JSON, or named tensors. Knows no HTTP."""

from collections.abc import Callable, Mapping
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.array_rows import encode_array_rows, encode_array_tensors
from service.features.cells import MAX_PROBLEMS, MAX_WARNINGS, OWN_RULES, TENSOR_RULES, Place, Rules, shown
from service.features.encoding import columns_of, encode_columns, measures_of, reach_of, scale, starts_of, used_columns
from service.features.plan import ArrayInput, FeaturePlan, NumberColumn, TableInput, UsedColumn
from service.features.raw import LARGE, Array, all_finite, escape, fit_float32
from service.features.rows import RowReader
from service.features.tensors import ColumnReader

Encoded = tuple[list[Array], list[str]]
"""The tensor of each input, in the plan's order, and warnings."""

NUMBERS = frozenset({int, float})
FEW_NUMBERS = 64


class RequestEncoder:
    """Encodes for one plan; made once, since looking through a plan takes longer than encoding a row."""

    def __init__(self, plan: FeaturePlan) -> None:
        self.plan = plan
        self.used = columns_of(plan)
        """The columns that the model sees, in their order."""
        self._numbers = [column for column in self.used if isinstance(column, NumberColumn)]
        self._is_all_numbers = plan.is_of_table and len(self._numbers) == len(self.used)
        self._measures = measures_of(self._numbers) if self._numbers else np.zeros((5, 0))
        low, high = self._measures[3:]
        self._centre, self._reach = reach_of(low, high)
        places = {column.column: place for place, column in enumerate(self.used)}
        self._shares = [[places[column.column] for column in used_columns(table)] for table in plan.table_inputs]
        arrays = plan.array_inputs
        self._plain_width = arrays[0].shape[0] if len(arrays) == 1 and _is_plain_vector(arrays[0]) else None

    def encode_rows(self, rows: list[Any] | Array, pointer: str = "/rows", rules: Rules = OWN_RULES) -> Encoded:
        """The tensors for rows: a list of them, or an array ``(rows, …)`` of numbers.

        A row of a table is an object by column name, or a list in the order of the plan's used columns; null is missing.
        A boolean counts as 0 or 1 only in a column that held booleans in training. A row of arrays is an object by the names
        of the inputs; of a single one its nested lists of numbers may stand alone. Raises InvalidInput with at most 20
        problems; ``pointer`` says where the rows stand in the client's document.
        """
        if not len(rows):
            problem = Problem(pointer, "There are no rows.", "an empty list", "at least one row")
            raise InvalidInput("There are no rows to predict.", [problem])
        if self._plain_width is not None:
            numbers = _plain_numbers(rows, self._plain_width, np.float32)
            if numbers is not None:
                return [numbers], []
        elif self._is_all_numbers:
            numbers = _plain_numbers(rows, len(self.used), np.float64)
            if numbers is not None:
                return self._encode_numbers(numbers, self._place_in(rows, pointer))
        if not self.plan.is_of_table:
            return encode_array_rows(self.plan.array_inputs, rows, pointer, rules), []
        as_list = rows if isinstance(rows, list) else rows.tolist()
        columns, warnings = RowReader(self.plan, self.used, pointer, rules).read(as_list)
        return self._encode_columns(columns, warnings, self._place_in(as_list, pointer))

    def encode_tensors(
        self,
        tensors: Mapping[str, Array],
        pointers: Mapping[str, str],
        place: Place | None = None,
        rules: Rules = TENSOR_RULES,
    ) -> Encoded:
        """The tensors for tensors by name, of equally many rows.

        For a table there is one of shape ``(rows,)`` or ``(rows, 1)`` for every used column, of numbers, booleans, or objects
        (texts, and None where a value is missing); NaN is missing too. For arrays there is one for every input. Raises
        InvalidInput with at most 20 problems; ``pointers`` say where each tensor's values stand in the client's document, and
        ``place`` where a single one does, if it is not their item.
        """
        if not self.plan.is_of_table:
            return encode_array_tensors(self.plan.array_inputs, tensors, pointers), []
        place = place or (lambda row, name: f"{pointers[name]}/{row}")
        columns, warnings = ColumnReader(self.plan, self.used, pointers, place, rules).read(tensors)
        return self._encode_columns(columns, warnings, place)

    def _encode_numbers(self, raw: Array, place: Place) -> Encoded:
        """The quick way for a table of finite numbers, scaled all at once."""
        scaled = scale(self._measures, raw)
        tensors = [scaled] if len(self._shares) == 1 else [scaled[:, share] for share in self._shares]
        warnings = self._far_outside(raw)
        self._refuse_infinite(tensors, lambda row, name: raw[row, self._index(name)], place)
        return tensors, warnings

    def _encode_columns(self, columns: dict[str, Array], warnings: list[str], place: Place) -> Encoded:
        tensors = [encode_columns(table, columns) for table in self.plan.table_inputs]
        if self._numbers:
            warnings = warnings + self._far_outside(np.stack([columns[column.column] for column in self._numbers], axis=1))
        self._refuse_infinite(tensors, lambda row, name: columns[name][row], place)
        return tensors, warnings[:MAX_WARNINGS]

    def _far_outside(self, raw: Array) -> list[str]:
        """One warning for each column with values that are far from the training range."""
        is_far = np.abs(raw - self._centre) > self._reach  # false where either is NaN
        if not is_far.any():
            return []
        warnings = []
        for place in np.flatnonzero(is_far.any(axis=0))[:MAX_WARNINGS].tolist():
            column, values = self._numbers[place], raw[is_far[:, place], place]
            if column.divisor:
                more = f" (and so are {len(values) - 1} more)" if len(values) > 1 else ""
                known = f"the training range {column.low:.6g} to {column.high:.6g}"
                warnings.append(f"Value {values[0]:.6g} of column '{column.column[:80]}' is far outside of {known}{more}.")
        return warnings

    def _refuse_infinite(self, tensors: list[Array], value_of: Callable[[int, str], Any], place: Place) -> None:
        """Raise InvalidInput for numbers that float32 cannot hold once they are scaled."""
        for table, encoded in zip(self.plan.table_inputs, tensors, strict=True):
            if not all_finite(encoded):
                problems = [
                    Problem(place(row, name), "This number is too large.", shown(float(value_of(row, name))), NEAR)
                    for row, name in _infinite_places(table, encoded)
                ]
                raise InvalidInput(f"Some numbers are too large. {problems[0].pointer}: {problems[0].message}", problems)

    def _index(self, name: str) -> int:
        return next(place for place, column in enumerate(self.used) if column.column == name)

    def _place_in(self, rows: list[Any] | Array, pointer: str) -> Place:
        def place(row: int, name: str) -> str:
            key = escape(name) if isinstance(rows[row], dict) else self._index(name)
            return f"{pointer}/{row}/{key}"

        return place


NEAR = "a number near the training data"


def _infinite_places(table: TableInput, encoded: Array) -> list[tuple[int, str]]:
    """Row and column of each value that became infinite, at most 20."""
    used: list[UsedColumn] = used_columns(table)
    names = {start: column.column for start, column in zip(starts_of(used), used, strict=True)}
    return [(row, names[place]) for row, place in np.argwhere(~np.isfinite(encoded))[:MAX_PROBLEMS].tolist()]


def _is_plain_vector(entry: ArrayInput) -> bool:
    """Whether numbers become float32 just as they are."""
    return len(entry.shape) == 1 and not entry.divisor and entry.dtype == "float32"


def _plain_numbers(rows: list[Any] | Array, width: int, dtype: type) -> Array | None:
    """Rows of numbers that are far from what float32 cannot hold as a matrix; None where they are anything else."""
    if not isinstance(rows, list):
        return rows.astype(dtype) if rows.ndim == 2 and rows.shape[1] == width and fit_float32(rows) else None
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
        return None
    flat = rows[0] if len(rows) == 1 else list(chain.from_iterable(rows))
    if not NUMBERS.issuperset(map(type, flat)):
        return None
    if 0 < len(flat) <= FEW_NUMBERS:  # of which Python itself tells soonest that all are finite and none is large
        is_usable = -LARGE < min(flat) <= max(flat) < LARGE and isfinite(sum(flat))
        return np.array(flat, dtype).reshape(len(rows), width) if is_usable else None
    try:
        numbers = np.array(flat, np.float64).reshape(len(rows), width)
    except OverflowError:
        return None
    return numbers.astype(dtype, copy=False) if fit_float32(numbers) else None
