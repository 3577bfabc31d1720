"""Writes the rows of a batch prediction as Parquet or CSV, batch by batch. The bytes do not depend on how rows come in batches.

Knows no model and no dataset.
"""

import math
from pathlib import Path
from typing import Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from service.features.spreadsheets import FORMULA
from service.spec.frames import PredictionFormat

ROW_GROUP_BYTES = 16 * 1024 * 1024
NUMBER_BYTES = 8


class ResultFile(Protocol):
    """A file of rows that grows."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows. Raises OSError."""

    def finish(self) -> None:
        """Make the file whole. Raises OSError."""


def open_result(path: Path, schema: pa.Schema, form: PredictionFormat) -> ResultFile:
    """A new file."""
    return ParquetResult(path, schema) if form == "parquet" else CsvResult(path, schema)


class ParquetResult:
    """A Parquet file, in row groups of about ``ROW_GROUP_BYTES``."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._waiting_bytes += _size_of(batch)
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema).combine_chunks()
        self._waiting, self._waiting_bytes = [], 0
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def finish(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()


def _size_of(batch: pa.RecordBatch) -> int:
    """About how many bytes the values take; unlike ``nbytes`` the same for the same values, however they lie in memory."""
    return sum(_size_of_column(column) for column in batch.columns)


def _size_of_column(column: pa.Array) -> int:
    if pa.types.is_list(column.type):
        return NUMBER_BYTES * len(column) + _size_of_column(column.flatten())
    if pa.types.is_string(column.type):
        return NUMBER_BYTES * len(column) + (pc.sum(pc.binary_length(column)).as_py() or 0)
    return NUMBER_BYTES * len(column)


class CsvResult:
    """A CSV file whose texts no spreadsheet takes for formulas; lists are JSON, what is missing is empty."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        names = without_formulas(pa.array(schema.names)).to_pylist()
        types = [_csv_type(kind) for kind in schema.types]
        self._schema = pa.schema(list(zip(names, types, strict=True)))
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pyarrow.csv.CSVWriter(self._file, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_csv_column(column) for column in batch.columns]
        if len(columns) == 1:
            columns = [_never_empty(columns[0])]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def finish(self) -> None:
        self._writer.close()
        self._file.close()


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_list(kind) else kind


def _csv_column(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        texts = [None if value is None else orjson.dumps(value).decode() for value in column.to_pylist()]
        return pa.array(texts, pa.string())
    return without_formulas(column) if pa.types.is_string(column.type) else column


def _never_empty(column: pa.Array) -> pa.Array:
    """An empty cell that is alone would be an empty line, which most readers skip: NaN, or an empty text in quotation marks."""
    return column.fill_null(math.nan if pa.types.is_floating(column.type) else "")


def without_formulas(texts: pa.Array) -> pa.Array:
    """Put an apostrophe before texts that begin like a formula. Source: OWASP, CSV injection."""
    return pc.if_else(pc.match_substring_regex(texts, FORMULA), pc.binary_join_element_wise("'", texts, ""), texts)
