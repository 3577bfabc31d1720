"""Encodes datasets by a fitted plan, block by block, and refuses what does not do, with its column and row."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.arrays import encode_array
from service.features.datetimes import as_texts
from service.features.encoding import columns_of, encode_columns, encode_target, used_columns
from service.features.fitting import raw_target
from service.features.plan import ArrayInput, FeaturePlan, TableInput, Target
from service.training.reading import Dataset

Array = np.ndarray[Any, Any]

ENCODED_BYTES = 64 * 1024 * 1024
"""Of a table is encoded at a time."""
MAX_EXACT_INTEGER = 2**24
"""Up to here float32 holds every integer."""
SUM_TOLERANCE = 1e-3
"""How far the shares of a one-hot row may be from adding up to 1."""


class Role(NamedTuple):
    """What a dataset is called in messages, and where the request names it."""

    noun: str
    pointer: str


DATASET = Role("dataset", "/dataset")
VALIDATION_DATASET = Role("validation dataset", "/fit/validation_dataset")


class Block(NamedTuple):
    """Some rows in a row."""

    start: int
    """Number of the first row, counted from 0."""
    raw: Mapping[str, Array]
    arrays: tuple[Array, ...]
    """Those of the inputs, those of the targets, and the weights where there are some."""


class Encoder:
    """Encodes datasets of the same columns by one plan."""

    def __init__(self, plan: FeaturePlan, sample_weight: str | None) -> None:
        self._plan = plan
        self._sample_weight = sample_weight
        self._target_shapes: dict[str, tuple[int, ...]] = {}
        self._role = DATASET
        self.rounds_integers = False
        """Whether float32 could not hold some integers of an array."""

    def encode(self, dataset: Dataset, role: Role = DATASET) -> Iterator[Block]:
        """All rows in order. Raises InvalidInput."""
        self._role = role
        names = self._names(dataset)
        self._check_columns(dataset, names)
        start = 0
        for raw in self._slices(dataset.blocks(names)):
            arrays = tuple(self._arrays(raw, start))
            yield Block(start, raw, arrays)
            start += len(arrays[0])

    def raw_rows(self, raw: Mapping[str, Array], rows: Array) -> list[Any]:
        """Some rows of a block as a client would send them."""
        if self._plan.is_of_table:
            names = [column.column for column in columns_of(self._plan)]
            cells = {name: _json_values(raw[name][rows]) for name in names}
            return [{name: cells[name][row] for name in names} for row in range(len(rows))]
        taken = {entry.name: _json_array(raw[entry.array][rows].reshape(-1, *entry.shape)) for entry in self._plan.array_inputs}
        if len(taken) == 1:
            (alone,) = taken.values()
            return alone
        return [{name: values[row] for name, values in taken.items()} for row in range(len(rows))]

    def _names(self, dataset: Dataset) -> list[str]:
        is_table = self._plan.is_of_table
        if is_table != (dataset.kind == "table"):
            wanted, received = ("a table", "arrays") if is_table else ("arrays", "a table")
            raise self._refused(f"The {self._role.noun} holds {received}, but the model was fitted with {wanted}.", received)
        inputs = [*(column.column for column in columns_of(self._plan)), *(entry.array for entry in self._plan.array_inputs)]
        targets = [name for target in self._plan.targets for name in target.columns]
        weights = [self._sample_weight] if self._sample_weight else []
        return list(dict.fromkeys([*inputs, *targets, *weights]))

    def _check_columns(self, dataset: Dataset, names: list[str]) -> None:
        missing = [name for name in names if name not in dataset.columns]
        if missing:
            noun = "column" if dataset.kind == "table" else "array"
            message = f"The {self._role.noun} has no {noun} '{missing[0][:80]}', which the model was fitted with."
            raise self._refused(message, None, "Choose a dataset of the same columns.")

    def _slices(self, blocks: Iterator[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
        """Fewer rows at a time where a table becomes wide, as it does with many words or categories."""
        if not self._plan.is_of_table:
            yield from blocks
            return
        width = sum(table.width for table in self._plan.table_inputs)
        step = max(1, ENCODED_BYTES // (np.dtype(np.float32).itemsize * width))
        for raw in blocks:
            for start in range(0, len(next(iter(raw.values()))), step):
                yield {name: values[start : start + step] for name, values in raw.items()}

    def _arrays(self, raw: Mapping[str, Array], start: int) -> Iterator[Array]:
        for entry in self._plan.inputs:
            if isinstance(entry, TableInput):
                yield self._encode_table(entry, raw, start)
            else:
                yield self._encode_array(entry, raw, start)
        for target in self._plan.targets:
            yield self._encode_target(target, raw, start)
        if self._sample_weight is not None:
            yield row_weights(self._sample_weight, raw[self._sample_weight], start)

    # The inputs

    def _encode_table(self, table: TableInput, raw: Mapping[str, Array], start: int) -> Array:
        encoded = encode_columns(table, raw)
        if not np.isfinite(encoded).all():
            row, place = np.argwhere(~np.isfinite(encoded))[0].tolist()
            widths = [(column.column, column.width) for column in used_columns(table)]
            ends = np.cumsum([width for _, width in widths])
            raise self._not_finite("Column", widths[int(np.searchsorted(ends, place, side="right"))][0], start + row)
        return encoded

    def _encode_array(self, plan: ArrayInput, raw: Mapping[str, Array], start: int) -> Array:
        values = raw[plan.array]
        self._check_array(plan, values)
        encoded = encode_array(plan, values)
        if not np.isfinite(encoded).all():
            raise self._not_finite("Array", plan.array, start + int(np.argwhere(~np.isfinite(encoded))[0][0]))
        return encoded

    def _check_array(self, plan: ArrayInput, values: Array) -> None:
        name, shape = plan.array, list(values.shape[1:]) or [1]
        if values.dtype.kind not in "biuf":
            raise self._refused(f"Array '{name[:80]}' of the {self._role.noun} holds no numbers.", str(values.dtype))
        if shape != list(plan.shape):
            expected = tuple(plan.shape)
            message = f"Array '{name[:80]}' of the {self._role.noun} has rows of shape {tuple(shape)}. Expected {expected}."
            raise self._refused(message, str(tuple(shape)))
        if values.dtype.kind in "iu" and values.dtype.itemsize > 2 and not plan.divisor:
            self.rounds_integers |= bool(values.max() > MAX_EXACT_INTEGER or values.min() < -MAX_EXACT_INTEGER)

    def _not_finite(self, noun: str, name: str, row: int) -> InvalidInput:
        message = f"{noun} '{name[:80]}' of the {self._role.noun} has no finite number in row {row}."
        return self._refused(message, None, "Remove such rows or fill them in.")

    # The targets

    def _encode_target(self, target: Target, raw: Mapping[str, Array], start: int) -> Array:
        values = raw_target(raw, target.columns)
        if target.classes is None and values.dtype.kind not in "biuf":
            raise self._refused(f"Target '{target.name}' of the {self._role.noun} holds no numbers.", str(values.dtype))
        self._check_target_shape(target, values)
        try:
            encoded = encode_target(target, values)
        except KeyError as error:
            raise self._unknown_class(target, values, start) from error
        if encoded.dtype.kind == "f" and not np.isfinite(encoded).all():
            row = start + int(np.argwhere(~np.isfinite(encoded))[0][0])
            message = f"Target '{target.name}' of the {self._role.noun} has no finite number in row {row}."
            raise self._refused(message, None, "Remove such rows or fill them in.")
        if target.encoding == "one_hot" and encoded.shape == values.shape:
            self._check_shares(target, encoded, start)
        if target.labels is not None:
            self._check_labels(target, encoded, start)
        return encoded

    def _check_target_shape(self, target: Target, values: Array) -> None:
        shape = values.shape[1:] or (1,)
        known = self._target_shapes.setdefault(target.output, shape)
        one_per_row = target.classes is None or shape == (1,)
        is_one_hot = target.encoding == "one_hot" and shape == (len(target.classes or []),)
        if shape != known or not (one_per_row or is_one_hot):
            message = f"Target '{target.name}' of the {self._role.noun} has rows of shape {shape}."
            raise self._refused(message, str(shape), "Give it the shape that the training data has.")

    def _unknown_class(self, target: Target, values: Array, start: int) -> InvalidInput:
        known, name = set(target.classes or []), target.name
        row, label = next((row, label) for row, label in enumerate(values.reshape(-1).tolist()) if label not in known)
        if label is None or label != label:
            message = f"Target '{name}' of the {self._role.noun} has no value in row {start + row}."
            return self._refused(message, None, "Remove such rows or fill them in.")
        message = f"Target '{name}' has the class {label!r:.80} in row {start + row} of the {self._role.noun}, "
        message += "which the training data does not have."
        return self._refused(message, f"{label!r:.80}", "Leave such rows out, or train with all the classes.")

    def _check_shares(self, target: Target, rows: Array, start: int) -> None:
        is_wrong = (rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > SUM_TOLERANCE)
        if is_wrong.any():
            row = start + int(np.argmax(is_wrong))
            message = f"Target '{target.name}' of the {self._role.noun} is no one-hot row: row {row} does not add up to 1."
            raise self._refused(message, None, "Give each row a single 1, or shares from 0 to 1 that add up to 1.")

    def _check_labels(self, target: Target, rows: Array, start: int) -> None:
        is_wrong = ((rows != 0) & (rows != 1)).any(axis=1)
        if is_wrong.any():
            row = start + int(np.argmax(is_wrong))
            message = f"Target '{target.name}' of the {self._role.noun} has something else than zeros and ones in row {row}."
            raise self._refused(message, None, "Give each label a 1 where it is true, and a 0 where it is not.")

    def _refused(self, message: str, received: str | None, fix: str | None = None) -> InvalidInput:
        fix = fix or "Choose a dataset of the same form."
        return InvalidInput(f"{message} {fix}", [Problem(self._role.pointer, message, received, fix=fix)])


def row_weights(name: str, values: Array, start: int) -> Array:
    """A column of weights as ``(rows,)`` of float32. Raises InvalidInput on anything but one number from 0 on per row."""
    weights = _as_weights(values)
    is_wrong = ~(np.isfinite(weights) & (weights >= 0))
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        message = f"Column '{name[:80]}' cannot weigh the rows: row {start + row} has no number from 0 on."
        fix = "Fill in every row with a number from 0 on."
        problem = Problem("/fit/sample_weight", message, str(values[row])[:80], "a number from 0 on", fix)
        raise InvalidInput(f"{message} {fix}", [problem])
    return weights


def _as_weights(values: Array) -> Array:
    """NaN where a row has anything but one number."""
    if values.dtype.kind == "O":
        values = np.array([value if isinstance(value, int | float) else math.nan for value in values], dtype=np.float64)
    if values.dtype.kind not in "biuf" or values.size != len(values):
        return np.full(len(values), np.nan, np.float32)
    with np.errstate(over="ignore"):
        return values.reshape(len(values)).astype(np.float32)


def _json_array(values: Array) -> list[Any]:
    taken: list[Any] = (values.astype(np.int8) if values.dtype.kind == "b" else values).tolist()
    return taken


def _json_values(values: Array) -> list[Any]:
    return as_texts(values) if values.dtype.kind == "M" else [_json_value(value) for value in values.tolist()]


def _json_value(value: Any) -> Any:
    """A missing number as null, and a whole one as it was before a missing neighbour made the column float."""
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    is_negative_zero = value == 0 and math.copysign(1, value) < 0
    return int(value) if value.is_integer() and abs(value) < 2**53 and not is_negative_zero else value
