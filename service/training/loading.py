"""Reads a stored dataset from local files and encodes it by a feature plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from service.features.encoding import encode_columns, used_columns
from service.features.fitting import (
    Choice,
    RawColumn,
    encode_target,
    plan_arrays,
    plan_table,
    shape_array_input,
    shape_array_target,
)
from service.features.plan import ArrayInput, FeaturePlan, NumberColumn, Target
from service.spec.compile import LossBase
from service.spec.features import FeaturesSpec
from service.spec.frames import DatasetFiles

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RawData:
    """A dataset as it was stored: columns of a table, or arrays."""

    columns: dict[str, RawColumn]
    arrays: dict[str, Array]

    @property
    def rows(self) -> int:
        """Number of rows or examples."""
        if self.arrays:
            return len(next(iter(self.arrays.values())))
        return len(next(iter(self.columns.values())).values)


@dataclass(frozen=True)
class EncodedData:
    """What the model sees: ``x`` of shape (rows, …) and ``y`` with one entry per row."""

    x: Array
    y: Array


def load(dataset: DatasetFiles) -> RawData:
    """Read a dataset's files."""
    if dataset.kind == "arrays":
        return RawData({}, {name: np.load(path, allow_pickle=False) for name, path in dataset.files.items()})
    table = pyarrow.parquet.read_table(dataset.files["table"])
    return RawData({name: _raw_column(table.column(name)) for name in table.column_names}, {})


def _raw_column(column: pa.ChunkedArray) -> RawColumn:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return RawColumn("boolean" if pa.types.is_boolean(kind) else "number", np.asarray(numbers, dtype=np.float64))
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return RawColumn("text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "other", values)


def plan_features(data: RawData, features: FeaturesSpec, target: str, loss: LossBase, train_rows: int) -> Choice:
    """The feature plan, fitted on the training rows. Raises InvalidInput when the data cannot be learnt from."""
    if data.arrays:
        return plan_arrays(data.arrays, target, loss)
    return plan_table(data.columns, features, target, loss, train_rows)


def encode(plan: FeaturePlan, data: RawData) -> EncodedData:
    """Encode all rows."""
    target = plan.target
    assert target is not None, "a fit has a target"
    if isinstance(plan.input, ArrayInput):
        x = shape_array_input(plan.input, data.arrays[plan.input.name])
        return EncodedData(x, shape_array_target(target, data.arrays[target.name]))
    columns = {column.column: _planned_values(column, data.columns) for column in used_columns(plan.input)}
    return EncodedData(encode_columns(plan.input, columns), encode_target(target, _target_values(target, data.columns)))


def _planned_values(column: Any, columns: Mapping[str, RawColumn]) -> Array:
    raw = columns[column.column]
    if isinstance(column, NumberColumn) or raw.kind not in ("number", "boolean"):
        return raw.values
    return _as_labels(raw)


def _target_values(target: Target, columns: Mapping[str, RawColumn]) -> Array:
    raw = columns[target.name]
    if target.classes is None or raw.kind not in ("number", "boolean"):
        return raw.values
    return _as_labels(raw)


def _as_labels(raw: RawColumn) -> Array:
    """Numbers as objects, with None for missing ones; a vocabulary of 0 and 1 finds 0.0, 1.0, False and True alike."""
    values = raw.values.astype(object)
    values[np.isnan(raw.values)] = None
    return values


def example_rows(plan: FeaturePlan, data: RawData, count: int) -> list[Any]:
    """The first rows as a client would send them."""
    count = min(count, data.rows)
    if isinstance(plan.input, ArrayInput):
        rows: list[Any] = shape_array_input(plan.input, data.arrays[plan.input.name])[:count].tolist()
        return rows
    columns = [column.column for column in used_columns(plan.input)]
    return [{name: _json_cell(data.columns[name], row) for name in columns} for row in range(count)]


def _json_cell(raw: RawColumn, row: int) -> Any:
    value = raw.values[row]
    if raw.kind not in ("number", "boolean"):
        return value
    if np.isnan(value):
        return None
    if raw.kind == "boolean":
        return bool(value)
    return int(value) if value == int(value) else float(value)
