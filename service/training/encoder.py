"""Encodes datasets by a fitted plan, block by block, and refuses what does not do, with its column and row."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.datetimes import as_texts
from service.features.encoding import encode_array, encode_columns, encode_target, used_columns
from service.features.plan import FeaturePlan, TableInput
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
    """``(x, y)`` or ``(x, y, sample_weight)``."""


class Encoder:
    """Encodes datasets of the same columns by one plan."""

    def __init__(self, plan: FeaturePlan, sample_weight: str | None) -> None:
        assert plan.target is not None, "a fitted plan has a target"
        self._input = plan.input
        self._target = plan.target
        self._sample_weight = sample_weight
        self._target_shape: tuple[int, ...] | None = None
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
            arrays = self._arrays(names, raw, start)
            yield Block(start, raw, arrays)
            start += len(arrays[0])

    def raw_rows(self, raw: Mapping[str, Array], rows: Array) -> list[Any]:
        """Some rows of a block as a client would send them."""
        if not isinstance(self._input, TableInput):
            values = np.asarray(next(iter(raw.values()))[rows]).reshape(-1, *self._input.shape)
            taken: list[Any] = (values.astype(np.int8) if values.dtype.kind == "b" else values).tolist()
            return taken
        names = [column.column for column in used_columns(self._input)]
        cells = {name: _json_values(raw[name][rows]) for name in names}
        return [{name: cells[name][row] for name in names} for row in range(len(rows))]

    def _names(self, dataset: Dataset) -> list[str]:
        others = [self._target.name, *([self._sample_weight] if self._sample_weight else [])]
        is_table = isinstance(self._input, TableInput)
        if is_table != (dataset.kind == "table"):
            wanted, received = ("a table", "arrays") if is_table else ("arrays", "a table")
            raise self._refused(f"The {self._role.noun} holds {received}, but the model was fitted with {wanted}.", received)
        if isinstance(self._input, TableInput):
            return [*(column.column for column in used_columns(self._input)), *others]
        inputs = [name for name in dataset.columns if name not in others]
        if len(inputs) != 1:
            message = f"The {self._role.noun} has {len(inputs)} arrays beside the target, but the model has one input."
            raise self._refused(message, ", ".join(inputs)[:80])
        return [*inputs, *others]

    def _check_columns(self, dataset: Dataset, names: list[str]) -> None:
        missing = [name for name in names if name not in dataset.columns]
        if missing:
            noun = "column" if dataset.kind == "table" else "array"
            message = f"The {self._role.noun} has no {noun} '{missing[0][:80]}', which the model was fitted with."
            raise self._refused(message, None, "Choose a dataset of the same columns.")

    def _slices(self, blocks: Iterator[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
        """Fewer rows at a time where a table becomes wide, as it does with many words or categories."""
        if not isinstance(self._input, TableInput):
            yield from blocks
            return
        step = max(1, ENCODED_BYTES // (np.dtype(np.float32).itemsize * self._input.width))
        for raw in blocks:
            for start in range(0, len(raw[self._target.name]), step):
                yield {name: values[start : start + step] for name, values in raw.items()}

    def _arrays(self, names: list[str], raw: Mapping[str, Array], start: int) -> tuple[Array, ...]:
        arrays = (self._encode_input(names[0], raw, start), self._encode_target(raw[self._target.name], start))
        if self._sample_weight is None:
            return arrays
        return (*arrays, row_weights(self._sample_weight, raw[self._sample_weight], start))

    # The input

    def _encode_input(self, name: str, raw: Mapping[str, Array], start: int) -> Array:
        if isinstance(self._input, TableInput):
            encoded = encode_columns(self._input, raw)
        else:
            self._check_array(name, raw[name])
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused below
                encoded = encode_array(self._input, raw[name])
        if not np.isfinite(encoded).all():
            raise self._not_finite(name, np.argwhere(~np.isfinite(encoded))[0].tolist(), start)
        return encoded

    def _check_array(self, name: str, values: Array) -> None:
        assert not isinstance(self._input, TableInput)
        shape = list(values.shape[1:]) or [1]
        if values.dtype.kind not in "biuf":
            raise self._refused(f"Array '{name[:80]}' of the {self._role.noun} holds no numbers.", str(values.dtype))
        if shape != list(self._input.shape):
            expected = tuple(self._input.shape)
            message = f"Array '{name[:80]}' of the {self._role.noun} has rows of shape {tuple(shape)}. Expected {expected}."
            raise self._refused(message, str(tuple(shape)))
        if values.dtype.kind in "iu" and values.dtype.itemsize > 2:
            self.rounds_integers |= bool(values.max() > MAX_EXACT_INTEGER or values.min() < -MAX_EXACT_INTEGER)

    def _not_finite(self, name: str, place: list[int], start: int) -> InvalidInput:
        noun = "Array"
        if isinstance(self._input, TableInput):
            noun, widths = "Column", [(column.column, column.width) for column in used_columns(self._input)]
            ends = np.cumsum([width for _, width in widths])
            name = widths[int(np.searchsorted(ends, place[1], side="right"))][0]
        message = f"{noun} '{name[:80]}' of the {self._role.noun} has no finite number in row {start + place[0]}."
        return self._refused(message, None, "Remove such rows or fill them in.")

    # The target

    def _encode_target(self, values: Array, start: int) -> Array:
        target = self._target
        if target.classes is None and values.dtype.kind not in "biuf":
            raise self._refused(f"Target '{target.name}' of the {self._role.noun} holds no numbers.", str(values.dtype))
        self._check_target_shape(values)
        try:
            encoded = encode_target(target, values)
        except KeyError as error:
            raise self._unknown_class(values, start) from error
        if encoded.dtype.kind == "f" and not np.isfinite(encoded).all():
            row = start + int(np.argwhere(~np.isfinite(encoded))[0][0])
            message = f"Target '{target.name}' of the {self._role.noun} has no finite number in row {row}."
            raise self._refused(message, None, "Remove such rows or fill them in.")
        if target.encoding == "one_hot" and encoded.shape == values.shape:
            self._check_shares(encoded, start)
        if target.labels is not None:
            self._check_labels(encoded, start)
        return encoded

    def _check_target_shape(self, values: Array) -> None:
        shape, target = values.shape[1:] or (1,), self._target
        self._target_shape = self._target_shape or shape
        one_per_row = target.classes is None or shape == (1,)
        is_one_hot = target.encoding == "one_hot" and shape == (len(target.classes or []),)
        if shape != self._target_shape or not (one_per_row or is_one_hot):
            message = f"Target '{target.name}' of the {self._role.noun} has rows of shape {shape}."
            raise self._refused(message, str(shape), "Give it the shape that the training data has.")

    def _unknown_class(self, values: Array, start: int) -> InvalidInput:
        known, name = set(self._target.classes or []), self._target.name
        row, label = next((row, label) for row, label in enumerate(values.reshape(-1).tolist()) if label not in known)
        if label is None or label != label:
            message = f"Target '{name}' of the {self._role.noun} has no value in row {start + row}."
            return self._refused(message, None, "Remove such rows or fill them in.")
        message = f"Target '{name}' has the class {label!r:.80} in row {start + row} of the {self._role.noun}, "
        message += "which the training data does not have."
        return self._refused(message, f"{label!r:.80}", "Leave such rows out, or train with all the classes.")

    def _check_shares(self, rows: Array, start: int) -> None:
        is_wrong = (rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > SUM_TOLERANCE)
        if is_wrong.any():
            row = start + int(np.argmax(is_wrong))
            message = f"Target '{self._target.name}' of the {self._role.noun} is no one-hot row: row {row} does not add up to 1."
            raise self._refused(message, None, "Give each row a single 1, or shares from 0 to 1 that add up to 1.")

    def _check_labels(self, rows: Array, start: int) -> None:
        is_wrong = ((rows != 0) & (rows != 1)).any(axis=1)
        if is_wrong.any():
            row = start + int(np.argmax(is_wrong))
            message = (
                f"Target '{self._target.name}' of the {self._role.noun} has something else than zeros and ones in row {row}."
            )
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
