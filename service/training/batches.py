"""The order of the data: which rows make which batch, epoch after epoch, from nothing but the seed and the epoch's number."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]

BLOCK_BYTES = 32 * 1024 * 1024
PREFETCHED_BATCHES = 4


@dataclass(frozen=True)
class Split:
    """Training rows and validation rows; the latter are empty without a validation split."""

    x: Array
    y: Array
    x_validation: Array
    y_validation: Array


def training_rows(rows: int, validation_split: float) -> int:
    """Number of rows before the part that is kept for validation.

    Source: ``keras.src.trainers.data_adapters.data_adapter_utils.train_validation_split``.
    """
    return math.floor(rows * (1.0 - validation_split))


def split_rows(x: Array, y: Array, validation_split: float) -> Split:
    """Keras's rule: the last part of the rows, before any shuffling, is for validation."""
    at = training_rows(len(x), validation_split)
    return Split(x[:at], y[:at], x[at:], y[at:])


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return math.ceil(rows / batch_size)


def epoch_order(rows: int, seed: int, epoch: int) -> Array:
    """The order of the rows in an epoch, which counts from 0: a permutation of ``range(rows)``."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def endless_batches(
    x: Array, y: Array, batch_size: int, seed: int, shuffle: bool, first_epoch: int = 0
) -> "tf.data.Dataset":
    """Batches of epoch after epoch without end: rows are gathered in blocks of many batches, and each batch is a slice.

    ``first_epoch`` counts from 0.
    """
    rows_per_block = batch_size * max(1, BLOCK_BYTES // max(1, batch_size * (_row_bytes(x) + _row_bytes(y))))

    def blocks() -> Iterator[tuple[Array, Array]]:
        for epoch in itertools.count(first_epoch):
            order = epoch_order(len(x), seed, epoch) if shuffle else np.arange(len(x))
            for start in range(0, len(x), rows_per_block):
                rows = order[start : start + rows_per_block]
                yield x[rows], y[rows]

    def slices(block_x: Any, block_y: Any) -> Any:
        starts = tf.data.Dataset.range(0, tf.shape(block_x, tf.int64)[0], batch_size)
        return starts.map(lambda at: (block_x[at : at + batch_size], block_y[at : at + batch_size]))

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in (x, y))
    dataset = tf.data.Dataset.from_generator(blocks, output_signature=signature)
    return dataset.flat_map(slices).prefetch(PREFETCHED_BATCHES)


def _row_bytes(array: Array) -> int:
    return int(array.dtype.itemsize * math.prod(array.shape[1:]))
