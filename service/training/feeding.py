"""Brings training and validation rows to Keras's loop, in blocks of the batches that one execution takes."""

import math
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from service.infra.npy import release_pages
from service.training.examples import Array, Part
from service.training.order import Order, Window

T = TypeVar("T")

PREFETCH = 2
"""Executions whose rows are made ready while another one runs."""
PREFETCHED_BYTES = 1024 * 1024
"""From this size of the data on another thread makes the rows ready; a small fit is over sooner than that would help."""

Block = tuple[Array, ...]
"""Some batches of each of a part's arrays, ``(rows, …)``."""


class _Segment(NamedTuple):
    """Batches in a row of one pass."""

    pass_number: int
    first: int
    batches: int


@dataclass(frozen=True)
class Pace:
    """How an epoch is cut into executions of several steps each."""

    batch_size: int
    steps: int
    """Steps of an epoch."""
    at_once: int
    """Steps of an execution; an epoch's last one may have fewer."""

    def executions(self, passes_steps: int, epoch: int, step: int) -> "Iterator[list[_Segment]]":
        """From a step of an epoch on, without end; ``passes_steps``: batches of one pass through the rows."""
        while True:
            for first in range(step, self.steps, self.at_once):
                count = min(self.at_once, self.steps - first)
                yield list(_segments(epoch * self.steps + first, count, passes_steps))
            epoch, step = epoch + 1, 0


def _segments(first: int, count: int, passes_steps: int) -> Iterator[_Segment]:
    """Cut batches, counted over all passes, where a pass ends."""
    while count:
        number, place = divmod(first, passes_steps)
        taken = min(count, passes_steps - place)
        yield _Segment(number, place, taken)
        first, count = first + taken, count - taken


def steps_of(rows: int, batch_size: int) -> int:
    """Batches that rows make; the last one may be smaller."""
    return math.ceil(rows / batch_size)


def training_blocks(part: Part, order: Order, pace: Pace, epoch: int, step: int) -> Iterator[list[Block]]:
    """The blocks of every execution from a step of an epoch on (both counted from 0), without end.

    Mostly an execution is one block; it is two where a pass through the rows ends within it.
    """
    reader = _Windows(part, order) if order.chunk_rows else _Memory(part, order)
    batch_size, passes_steps = pace.batch_size, steps_of(part.rows, pace.batch_size)
    for segments in pace.executions(passes_steps, epoch, step):
        yield [reader.read(number, first * batch_size, (first + count) * batch_size) for number, first, count in segments]


def blocks_in_order(part: Part, rows: int) -> Iterator[Block]:
    """All rows once, in their order, so many at a time."""
    for start in range(0, part.rows, rows):
        yield tuple(np.asarray(array[start : start + rows]) for array in part.arrays)
        release_pages(part.arrays)


class _Memory:
    """Rows that are held in memory; the order of a pass is drawn when it begins."""

    def __init__(self, part: Part, order: Order) -> None:
        self._arrays = tuple(np.array(array) for array in part.arrays)
        self._order = order
        self._number = -1
        self._rows: Array = np.empty(0)

    def read(self, number: int, start: int, stop: int) -> Block:
        if number != self._number:
            self._number, self._rows = number, self._order.permutation(number)
        rows = self._rows[start:stop]
        return tuple(array[rows] for array in self._arrays)


class _Windows:
    """Rows that are read a window at a time; they are asked for in the order in which they come."""

    def __init__(self, part: Part, order: Order) -> None:
        self._part = part
        self._order = order
        self._number = -1
        self._windows: Iterator[Window] = iter(())
        self._at = 0
        """Place in the pass of the first row that is held."""
        self._held: Block = ()

    def read(self, number: int, start: int, stop: int) -> Block:
        if number != self._number:
            self._number, self._windows, self._at, self._held = number, self._order.windows(number), 0, ()
        stop = min(stop, self._part.rows)
        while not self._held or self._at + len(self._held[0]) < stop:
            self._read_window(start)
        taken = tuple(array[start - self._at : stop - self._at] for array in self._held)
        self._held = tuple(array[stop - self._at :] for array in self._held)
        self._at = stop
        return taken

    def _read_window(self, start: int) -> None:
        """Add the next window to what is held, or pass over it when it ends before ``start``."""
        window = next(self._windows)
        held_rows = len(self._held[0]) if self._held else 0
        if not held_rows and self._at + window.rows <= start:
            self._at += window.rows
            return
        order = window.order()
        new = tuple(np.concatenate([array[part] for part in window.slices])[order] for array in self._part.arrays)
        self._held = tuple(np.concatenate(pair) for pair in zip(self._held, new, strict=True)) if held_rows else new
        release_pages(self._part.arrays)


def feed(items: Iterator[T], size_bytes: int) -> Generator[T]:
    """The items, made ready ahead where ``size_bytes`` of data are enough for that to help."""
    if size_bytes < PREFETCHED_BYTES:
        yield from items
        return
    with ThreadPoolExecutor(1, "prefetch") as executor:
        ahead = deque(executor.submit(next, items, None) for _ in range(PREFETCH))
        while (item := ahead.popleft().result()) is not None:
            ahead.append(executor.submit(next, items, None))
            yield item
