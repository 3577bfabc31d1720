"""From stored files to batches: reads, splits, encodes, and owns the order of the rows."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from service.errors import InvalidInput, Problem
from service.features.encoding import encode_array, encode_columns, encode_target, used_columns
from service.features.fitting import fit_array_plan, fit_table_plan
from service.features.plan import FeaturePlan, TableInput
from service.spec.compile import LossBase
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import DatasetFiles

Array = np.ndarray[Any, Any]

BLOCK_BYTES = 16 * 1024 * 1024
MAX_BLOCK_BATCHES = 256
EXAMPLE_ROWS = 2


@dataclass(frozen=True)
class Dataset:
    """Raw columns ``(rows,)`` of a table, or arrays ``(rows, …)``, by name."""

    kind: str
    columns: Mapping[str, Array]

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True)
class Examples:
    """Encoded rows: the first ``train_rows`` to learn from, the rest to validate with."""

    x: Array
    y: Array
    train_rows: int
    plan: FeaturePlan
    chosen: dict[str, str]
    warnings: list[str]
    raw: list[Any]
    """A few raw training rows as a client would send them."""

    @property
    def validation_rows(self) -> int:
        return len(self.x) - self.train_rows


def load(files: DatasetFiles) -> Dataset:
    """Read a stored dataset; arrays are mapped, not read."""
    if files.kind == "table":
        return Dataset("table", read_table(Path(files.files["table"])))
    arrays = {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in files.files.items()}
    return Dataset("arrays", arrays)


def read_table(path: Path) -> dict[str, Array]:
    """The raw columns of a Parquet file, as ``features.fitting`` describes them."""
    table = pyarrow.parquet.read_table(path)
    return {name: _raw_column(table.column(name)) for name in table.column_names}


def encode(dataset: Dataset, features: FeaturesSpec, target: str | None, loss: LossBase, validation_split: float) -> Examples:
    """Fit the plan on the training rows and encode all rows by it. Raises InvalidInput."""
    train_rows = split_at(dataset.rows, validation_split)
    fit_plan = fit_table_plan if dataset.kind == "table" else fit_array_plan
    plan, chosen, warnings = fit_plan(dataset.columns, features, target, loss, train_rows)
    assert plan.target is not None, "a fitted plan has a target"
    return Examples(
        x=_encode_input(plan, dataset.columns),
        y=encode_target(plan.target, dataset.columns[plan.target.name]),
        train_rows=train_rows,
        plan=plan,
        chosen=chosen,
        warnings=warnings,
        raw=_raw_rows(plan, dataset.columns, min(EXAMPLE_ROWS, train_rows)),
    )


def split_at(rows: int, validation_split: float) -> int:
    """Number of training rows by Keras's rule: the validation rows are the last ones, before shuffling.

    Source: ``keras.src.trainers.data_adapters.array_slicing.train_validation_split``. Raises InvalidInput when a part is empty.
    """
    train_rows = math.floor(rows * (1.0 - validation_split))
    if train_rows == 0 or (validation_split > 0 and train_rows == rows):
        part = "training" if train_rows == 0 else "validation"
        message = f"The dataset has {rows} rows. With validation_split={validation_split:g} no row is left for {part}."
        raise InvalidInput(
            message,
            [Problem("/fit/validation_split", message, f"{validation_split:g}", fix="Choose another part, or add rows.")],
        )
    return train_rows


def steps_of(rows: int, batch_size: int) -> int:
    """Batches of one epoch; the last one may be smaller."""
    return math.ceil(rows / batch_size)


def training_batches(examples: Examples, fit: FitSpec, seed: int, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
    """Batches of the training rows without end, epoch after epoch, each epoch in an order of its own.

    They begin with batch ``first_step`` of epoch ``first_epoch``, both counted from 0.
    """
    x, y = examples.x[: examples.train_rows], examples.y[: examples.train_rows]

    def orders() -> Iterator[Array]:
        yield row_order(len(x), seed, first_epoch, fit.shuffle)[first_step * fit.batch_size :]
        for epoch in itertools.count(first_epoch + 1):
            yield row_order(len(x), seed, epoch, fit.shuffle)

    return _batches(x, y, fit.batch_size, orders)


def validation_batches(examples: Examples, fit: FitSpec) -> tf.data.Dataset | None:
    """Batches of the validation rows, once and in their order; None where there are none."""
    if not examples.validation_rows:
        return None
    x, y = examples.x[examples.train_rows :], examples.y[examples.train_rows :]
    if x.nbytes + y.nbytes <= BLOCK_BYTES:  # a generator costs a tenth of a second every time it starts
        batches = _cut(tf.constant(x), tf.constant(y), fit.batch_size)
    else:
        batches = _batches(x, y, fit.batch_size, lambda: iter([np.arange(len(x))]))
    return batches.apply(tf.data.experimental.assert_cardinality(steps_of(len(x), fit.batch_size)))


def row_order(rows: int, seed: int, epoch: int, shuffle: bool) -> Array:
    """The order of the rows in an epoch (counted from 0), a function of the seed and the epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(rows) if shuffle else np.arange(rows)


def _batches(x: Array, y: Array, batch_size: int, orders: Callable[[], Iterator[Array]]) -> tf.data.Dataset:
    """Gather blocks of many batches in numpy and let TensorFlow cut them: a row is never handled alone."""
    block_rows = batch_size * _batches_per_block(batch_size, x[:1].nbytes + y[:1].nbytes)

    def blocks() -> Iterator[tuple[Array, Array]]:
        for order in orders():
            for start in range(0, len(order), block_rows):
                rows = order[start : start + block_rows]
                yield x[rows], y[rows]

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in (x, y))
    stream = tf.data.Dataset.from_generator(blocks, output_signature=signature)
    return stream.flat_map(lambda block_x, block_y: _cut(block_x, block_y, batch_size)).prefetch(2)


def _cut(x: Any, y: Any, batch_size: int) -> tf.data.Dataset:
    rows = tf.shape(x, out_type=tf.int64)[0]
    starts = tf.data.Dataset.range(0, rows, batch_size)
    return starts.map(lambda start: (x[start : start + batch_size], y[start : start + batch_size]))


def _batches_per_block(batch_size: int, row_bytes: int) -> int:
    return min(MAX_BLOCK_BATCHES, max(1, BLOCK_BYTES // (batch_size * row_bytes)))


def _raw_column(column: pa.ChunkedArray) -> Array:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values: Array = column.to_numpy()
    return values


def _encode_input(plan: FeaturePlan, columns: Mapping[str, Array]) -> Array:
    if isinstance(plan.input, TableInput):
        return encode_columns(plan.input, columns)
    return encode_array(plan.input, next(columns[name] for name in columns if plan.target is None or name != plan.target.name))


def _raw_rows(plan: FeaturePlan, columns: Mapping[str, Array], count: int) -> list[Any]:
    if not isinstance(plan.input, TableInput):
        array = next(columns[name] for name in columns if plan.target is None or name != plan.target.name)
        rows: list[Any] = array[:count].reshape(-1, *plan.input.shape).tolist()
        return rows
    names = [column.column for column in used_columns(plan.input)]
    cells = {name: [_json_value(value) for value in columns[name][:count].tolist()] for name in names}
    return [{name: cells[name][row] for name in names} for row in range(count)]


def _json_value(value: Any) -> Any:
    """A missing number as null, and a whole one as it was before a missing neighbour made the column float."""
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
