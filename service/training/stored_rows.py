"""Reads the rows of a stored dataset in blocks of a fixed length, from any row on. Knows no plan and no Keras.

Unlike ``reading``, which is for fits, it holds no more than a few blocks of anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from service.infra.npy import release_pages
from service.spec.frames import DatasetFiles
from service.training.arrow import numbers_as_arrow
from service.training.reading import READ_BYTES, raw_column

Array = np.ndarray[Any, Any]

CELL_BYTES = 8


class Block(NamedTuple):
    """Some rows in a row."""

    start: int
    """Number of the first row, counted from 0."""
    raw: Mapping[str, Array]
    """What goes into the model: raw columns ``(rows,)``, or arrays ``(rows, …)``, by name."""
    carried: list[pa.Array]
    """What is taken over into the result."""


class StoredRows(Protocol):
    """The rows of a dataset."""

    @property
    def rows(self) -> int:
        """Their number."""

    def row_bytes(self, names: Sequence[str]) -> int:
        """About how large one row of some columns or arrays is, however long its texts are."""

    def blocks(self, names: Sequence[str], carried: Sequence[str], length: int, start: int) -> Iterator[Block]:
        """Blocks of so many rows, the last one aside, beginning with row ``start``."""


def open_rows(files: DatasetFiles) -> StoredRows:
    """Open a stored dataset."""
    if files.kind == "table":
        return TableRows(Path(files.files["table"]))
    arrays = {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in files.files.items()}
    return ArrayRows(arrays, files.classes)


class TableRows:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._file = pyarrow.parquet.ParquetFile(path, buffer_size=READ_BYTES, pre_buffer=False)

    @property
    def rows(self) -> int:
        return int(self._file.metadata.num_rows)

    def row_bytes(self, names: Sequence[str]) -> int:
        return CELL_BYTES * len(names)

    def blocks(self, names: Sequence[str], carried: Sequence[str], length: int, start: int) -> Iterator[Block]:
        groups, skipped = self._groups_from(start)
        wanted = list(dict.fromkeys([*names, *carried]))
        batches = self._file.iter_batches(length, row_groups=groups, columns=wanted) if groups else iter(())
        for table in _cut(batches, start - skipped, length):
            raw = {name: raw_column(table.column(name)) for name in names}
            yield Block(start, raw, [table.column(name).combine_chunks() for name in carried])
            start += table.num_rows

    def _groups_from(self, start: int) -> tuple[list[int], int]:
        """The row groups from the one that holds a row on, and the number of rows before them."""
        metadata, skipped = self._file.metadata, 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if start < skipped + rows:
                return list(range(group, metadata.num_row_groups)), skipped
            skipped += rows
        return [], start


def _cut(batches: Iterator[pa.RecordBatch], skip: int, length: int) -> Iterator[pa.Table]:
    """Tables of exactly ``length`` rows, the last one aside, of what comes after the first ``skip`` rows."""
    waiting: pa.Table | None = None
    for batch in batches:
        taken = pa.Table.from_batches([batch.slice(min(skip, batch.num_rows))])
        skip -= batch.num_rows - taken.num_rows
        waiting = taken if waiting is None else pa.concat_tables([waiting, taken])
        while waiting.num_rows >= length:
            yield waiting.slice(0, length)
            waiting = waiting.slice(length)
    if waiting is not None and waiting.num_rows:
        yield waiting


@dataclass(frozen=True)
class ArrayRows:
    """Mapped ``.npy`` files; ``classes`` are the names that the numbers of an array stand for, by its name."""

    arrays: Mapping[str, Array]
    classes: Mapping[str, list[str]]

    @property
    def rows(self) -> int:
        return len(next(iter(self.arrays.values())))

    def row_bytes(self, names: Sequence[str]) -> int:
        return sum(self.arrays[name][:1].nbytes for name in names)

    def blocks(self, names: Sequence[str], carried: Sequence[str], length: int, start: int) -> Iterator[Block]:
        for first in range(start, self.rows, length):
            rows = slice(first, first + length)
            raw = {name: np.array(self.arrays[name][rows]) for name in names}
            yield Block(first, raw, [self._carried(name, rows) for name in carried])
            release_pages(self.arrays.values())

    def _carried(self, name: str, rows: slice) -> pa.Array:
        values = np.array(self.arrays[name][rows])
        return pa.array(self.classes[name]).take(pa.array(values)) if name in self.classes else numbers_as_arrow(values)
