"""Owns the order in which a fit sees its rows: a function of the seed and the epoch alone.

Where the rows fit into memory the order is any permutation of them. Beyond that the data is cut into chunks of neighbouring
rows; their order is shuffled, some of them at a time make a window, and the rows within a window are shuffled.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

MEMORY_BYTES = 512 * 1024 * 1024
"""Training data up to this size is held in memory and shuffled as a whole. Part of what a seed means: never change it lightly."""
CHUNK_BYTES = 1024 * 1024
"""What is read at once from larger data; likewise."""
WINDOW_CHUNKS = 64
"""Chunks that are shuffled together; likewise."""


@dataclass(frozen=True)
class Order:
    """How the rows are gone through, pass after pass; a pass is an epoch unless ``steps_per_epoch`` says otherwise."""

    rows: int
    seed: int
    shuffle: bool
    chunk_rows: int | None = None
    """Rows of a chunk where the data is larger than the memory for it; None shuffles all of it as a whole."""

    def permutation(self, number: int) -> Array:
        """The rows of pass ``number``, counted from 0, as a whole."""
        return np.random.default_rng([self.seed, number]).permutation(self.rows) if self.shuffle else np.arange(self.rows)

    def windows(self, number: int) -> "Iterator[Window]":
        """The rows of pass ``number``, a window at a time."""
        assert self.chunk_rows is not None, "the data is shuffled as a whole"
        chunks = math.ceil(self.rows / self.chunk_rows)
        order = np.random.default_rng([self.seed, number]).permutation(chunks) if self.shuffle else np.arange(chunks)
        for place in range(0, chunks, WINDOW_CHUNKS):
            slices = [self._chunk(chunk, self.chunk_rows) for chunk in order[place : place + WINDOW_CHUNKS].tolist()]
            yield Window(slices, (self.seed, number, 1 + place // WINDOW_CHUNKS) if self.shuffle else None)

    def _chunk(self, number: int, chunk_rows: int) -> slice:
        return slice(number * chunk_rows, min((number + 1) * chunk_rows, self.rows))


@dataclass(frozen=True)
class Window:
    """Chunks that are read and shuffled together."""

    slices: list[slice]
    entropy: tuple[int, int, int] | None
    """What the order of its rows is drawn from; None leaves them as they are."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(part.stop - part.start for part in self.slices)

    def order(self) -> Array:
        """The places ``(rows,)`` of its rows, in the order in which they are seen."""
        return np.random.default_rng(self.entropy).permutation(self.rows) if self.entropy else np.arange(self.rows)


def order_of(rows: int, row_bytes: int, seed: int, shuffle: bool) -> Order:
    """The order for training data of this size."""
    chunk_rows = None if rows * row_bytes <= MEMORY_BYTES else max(1, CHUNK_BYTES // row_bytes)
    return Order(rows, seed, shuffle, chunk_rows)
