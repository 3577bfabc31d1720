"""Reads stored datasets, one column or one block of rows at a time. Knows no plan and no Keras."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from service.infra.npy import release_pages
from service.spec.frames import DatasetFiles

Array = np.ndarray[Any, Any]

BLOCK_ROWS = 65_536
READ_BYTES = 1024 * 1024
"""What is read at once of each column of a Parquet file; a mapped file would fill the memory page by page."""
EXACT_INTEGERS = 2**53
"""Beyond this float64, which missing values turn integers into, does not hold every one of them."""


class Dataset(Protocol):
    """Raw columns ``(rows,)`` of a table, or arrays ``(rows, …)``, by name."""

    @property
    def kind(self) -> str:
        """``table`` or ``arrays``."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def columns(self) -> Mapping[str, Array]:
        """A column is read when it is asked for, and again when it is asked for again."""

    def blocks(self, names: list[str]) -> Iterator[Mapping[str, Array]]:
        """All rows of some columns in order, as many at a time as fit into little memory."""


def load(files: DatasetFiles) -> Dataset:
    """Open a stored dataset."""
    if files.kind == "table":
        return Table(Path(files.files["table"]))
    arrays = {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in files.files.items()}
    named = {name: np.array(classes, dtype=object)[arrays[name]] for name, classes in files.classes.items()}
    return Arrays(arrays | named)


class Table:
    """A Parquet file; the raw columns are as ``features.fitting`` describes them."""

    kind = "table"

    def __init__(self, path: Path) -> None:
        self._file = pyarrow.parquet.ParquetFile(path, buffer_size=READ_BYTES, pre_buffer=False)

    @property
    def rows(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def columns(self) -> Mapping[str, Array]:
        return _Columns(self._file)

    def blocks(self, names: list[str]) -> Iterator[Mapping[str, Array]]:
        for batch in self._file.iter_batches(BLOCK_ROWS, columns=names):
            yield {name: raw_column(batch.column(name)) for name in names}
        pa.default_memory_pool().release_unused()


class _Columns(Mapping[str, Array]):
    def __init__(self, file: pyarrow.parquet.ParquetFile) -> None:
        self._file = file

    def __contains__(self, name: object) -> bool:
        """Without reading the column, as a mapping would."""
        return name in self._file.schema_arrow.names

    def __getitem__(self, name: str) -> Array:
        if name not in self:
            raise KeyError(name)
        return raw_column(self._file.read(columns=[name]).column(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.schema_arrow.names)

    def __len__(self) -> int:
        return len(self._file.schema_arrow.names)


class Without(Mapping[str, Array]):
    """All columns but one."""

    def __init__(self, columns: Mapping[str, Array], name: str) -> None:
        self._columns = columns
        self._name = name

    def __contains__(self, name: object) -> bool:
        """Without reading the column, as a mapping would."""
        return name != self._name and name in self._columns

    def __getitem__(self, name: str) -> Array:
        if name == self._name:
            raise KeyError(name)
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._columns if name != self._name)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class Arrays:
    """Mapped ``.npy`` files."""

    columns: Mapping[str, Array]
    kind: str = "arrays"

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def blocks(self, names: list[str]) -> Iterator[Mapping[str, Array]]:
        for start in range(0, self.rows, BLOCK_ROWS):
            yield {name: self.columns[name][start : start + BLOCK_ROWS] for name in names}
            release_pages(self.columns.values())


def raw_column(column: pa.Array | pa.ChunkedArray) -> Array:
    """A column of a Parquet file as ``features.raw`` describes raw columns."""
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.dictionary_encode()  # every text is one Python object then, however often it comes
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    values: Array = column.to_numpy(zero_copy_only=False)
    return _exact(column, values) if pa.types.is_integer(column.type) and column.null_count else values


def _exact(column: pa.Array, values: Array) -> Array:
    """Integers beside missing values: floats with NaN as long as these are exact, else Python's integers with None."""
    if column.null_count == len(column) or np.nanmax(np.abs(values)) < EXACT_INTEGERS:
        return values
    objects = np.empty(len(column), dtype=object)
    objects[:] = column.to_pylist()
    return objects
