"""Encodes blocks of stored rows for predictions: a row that cannot be encoded costs the others nothing. Knows no files.

What a request of rows is refused for is noted here, and the row has no prediction.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from service.features.arrays import encode_array
from service.features.categories import category_places
from service.features.datetimes import as_moments
from service.features.encoding import as_float64, columns_of, encode_columns, is_far_outside, starts_of, used_columns
from service.features.notes import Notes
from service.features.plan import (
    ArrayInput,
    CategoryColumn,
    DatetimeColumn,
    FeaturePlan,
    NumberColumn,
    TableInput,
    UsedColumn,
)
from service.features.raw import Array, is_missing


class EncodedBlock(NamedTuple):
    """Some rows as the engine takes them; rows that cannot be encoded are zeros."""

    tensors: list[Array]
    """``(rows, …)`` of float32 for each input."""
    is_usable: Array
    """Whether each row could be encoded."""
    notes: Notes


def encode_block(plan: FeaturePlan, raw: Mapping[str, Array], start: int) -> EncodedBlock:
    """Encode rows as ``encode_rows`` does; ``raw`` are columns or arrays by name, ``start`` is the number of the first row."""
    notes = Notes()
    columns = {column.column: _settled(column, raw[column.column]) for column in columns_of(plan)}
    is_usable = np.ones(len(next(iter(raw.values()))), dtype=bool)
    for column in columns_of(plan):
        is_usable &= ~_note_cells(column, columns[column.column], notes)
    tensors = []
    for entry in plan.inputs:
        tensor = encode_columns(entry, columns) if isinstance(entry, TableInput) else encode_array(entry, raw[entry.array])
        for name, is_too_large in _too_large(entry, tensor):
            notes.add_rows("too_large", name, start, is_too_large & is_usable)
            is_usable &= ~is_too_large
        tensors.append(tensor)
    for tensor in tensors:
        tensor[~is_usable] = 0
    return EncodedBlock(tensors, is_usable, notes)


def _settled(column: UsedColumn, values: Array) -> Array:
    """A raw column; one without any value is of the kind that the plan knows, whatever the file says."""
    if not is_missing(values).all():
        return values
    if isinstance(column, NumberColumn):
        return np.full(len(values), np.nan)
    return np.full(len(values), None, dtype=object)


def _note_cells(column: UsedColumn, values: Array, notes: Notes) -> Array:
    """Note what is odd about a raw column; which of its values cannot be encoded."""
    none = np.zeros(len(values), dtype=bool)
    match column:
        case CategoryColumn():
            is_unknown = np.array(category_places(column, values.tolist())) == 0
            notes.add_cells("unseen", column.column, values, is_unknown & ~is_missing(values))
        case DatetimeColumn():
            is_no_date = is_missing(as_moments(values)) & ~is_missing(values)
            notes.add_cells("no_date", column.column, values, is_no_date)
            return is_no_date
        case NumberColumn(low=low, high=high) if column.divisor and low is not None and high is not None:
            is_far = is_far_outside(as_float64(values), low, high)
            notes.add_cells("far", column.column, values, is_far)
    return none


def _too_large(entry: TableInput | ArrayInput, tensor: Array) -> Iterator[tuple[str, Array]]:
    """The columns, or the array, with numbers that float32 cannot hold once they are scaled, and in which rows."""
    if np.isfinite(tensor).all():
        return
    if isinstance(entry, ArrayInput):
        yield entry.array, _has_infinity(tensor)
        return
    used = used_columns(entry)
    for column, start in zip(used, starts_of(used), strict=True):
        yield column.column, _has_infinity(tensor[:, start : start + column.width])


def _has_infinity(numbers: Array) -> Array:
    """One boolean per row."""
    return np.asarray(~np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1))
