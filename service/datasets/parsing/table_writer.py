"""Writes a table that comes batch by batch as Parquet, and measures its columns on the way."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from service.datasets.parsing.measuring import ColumnMeasure
from service.datasets.parsing.request import ParseRequest
from service.errors import InvalidInput, Problem
from service.features.raw import first_repeated

ROW_GROUP_BYTES = 32 * 1024 * 1024
FIRST_MICROSECOND = -62_135_596_800_000_000
"""0001-01-01, which Python's dates begin with; they end with 9999-12-31."""
LAST_MICROSECOND = 253_402_300_799_999_999
UTC_TIME, PLAIN_TIME = pa.timestamp("us", "UTC"), pa.timestamp("us")


class TableWriter:
    """A Parquet file that grows; ``finish`` makes it whole."""

    def __init__(self, request: ParseRequest, schema: pa.Schema) -> None:
        request.check_columns(len(schema))
        _check_names(schema.names)
        request.check_target(schema.names)
        self._request = request
        self._stored = pa.schema([(field.name, _stored_type(field.name, field.type)) for field in schema])
        self._measures = [ColumnMeasure(field.name, field.type, len(schema)) for field in self._stored]
        self._path = request.beside("table.parquet")
        self._path.unlink(missing_ok=True)  # one that was given up may still be open, and writes its end when it is closed
        self._writer = pa.parquet.ParquetWriter(self._path, self._stored, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._rows = 0

    def write(self, table: pa.Table) -> None:
        """Take further rows of the schema. Raises InvalidInput on too many, and on values that cannot be kept."""
        self._rows += table.num_rows
        self._request.check_rows(self._rows)
        self._request.check_cells(self._rows * len(self._stored))
        self._waiting.append(table)
        self._waiting_bytes += table.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Measure and write what waits; a column at a time costs the same however few its rows are."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._waiting_bytes = [], 0
        columns = [_usable(field, table.column(i)) for i, field in enumerate(self._stored)]
        for measure, column in zip(self._measures, columns, strict=True):
            measure.add(column)
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._stored))

    def finish(self, warnings: dict[str, str] | None = None) -> dict[str, Any]:
        """Close the file and describe the table, with a warning for some columns. Raises InvalidInput when it is empty."""
        if self._rows == 0:
            raise no_rows()
        self._flush()
        self._writer.close()
        columns = [measure.describe() for measure in self._measures]
        for column in columns:
            if warnings and column["name"] in warnings:
                column["warning"] = warnings[column["name"]]
        return {
            "kind": "table",
            "rows": self._rows,
            "target": self._request.target,
            "files": {"table": str(self._path)},
            "columns": columns,
            "arrays": [],
        }


def no_rows() -> InvalidInput:
    """The error about a table without rows."""
    return InvalidInput("The table has no rows.", [Problem("file", "There is only a header.", expected="at least one row")])


def _check_names(names: list[str]) -> None:
    repeated = first_repeated(names)
    if repeated is not None:
        problem = Problem("file", f"Two columns are named '{repeated[:80]}'.", fix="Give every column a name of its own.")
        raise InvalidInput("The table has duplicate columns.", [problem])
    if not names:
        raise InvalidInput("The table has no columns.", [Problem("file", "There is no column.", expected="at least one")])
    for place, name in enumerate(names, start=1):
        if not name.strip() or "\0" in name or len(name) > 1024:
            problem = Problem("file", f"Column {place} has no usable name.", expected="a name of 1 to 1024 characters")
            raise InvalidInput("A column has no name.", [problem])


def _stored_type(name: str, kind: pa.DataType) -> pa.DataType:
    """The type that a column is kept as. Raises InvalidInput for one that is no column of a table."""
    if pa.types.is_dictionary(kind):
        return _stored_type(name, kind.value_type)
    if pa.types.is_timestamp(kind):
        return UTC_TIME if kind.tz else PLAIN_TIME
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_float16(kind):
        return pa.float32()
    if _is_text(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
        return pa.string()
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return kind
    problem = Problem("file", f"Column '{name[:80]}' holds {str(kind)[:80]}.", expected="numbers, booleans, text or dates")
    raise InvalidInput(f"Column '{name[:80]}' has a type that a table cannot have.", [problem])


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _usable(field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A part of a column as it is kept. Raises InvalidInput."""
    if pa.types.is_timestamp(field.type):
        return _usable_times(field, column)
    try:
        column = column.cast(field.type)
    except pa.ArrowInvalid as error:
        raise _refused(field.name, "has a value that cannot be kept", str(error).split("\n", 1)[0][:100]) from error
    if pa.types.is_floating(field.type):
        return _usable_floats(field.name, column)
    if pa.types.is_string(field.type) and _has_zero_character(column):
        raise _refused(field.name, "has a text with the character U+0000", fix="Leave that character out.")
    return column


def _usable_floats(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.any(pc.is_inf(column)).as_py():
        raise _refused(name, "has infinity or a number beyond a double", fix="Leave the cell empty.")
    is_nan = pc.is_nan(column)
    return pc.if_else(is_nan, pa.scalar(None, column.type), column) if pc.any(is_nan).as_py() else column


def _usable_times(field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        is_finer = pa.types.is_timestamp(column.type) and column.type.unit == "ns"  # nanoseconds are cut off
        column = column.cast(field.type, safe=not is_finer)
    except pa.ArrowInvalid as error:
        raise _refused(field.name, "has a time that is out of range") from error
    extremes = pc.min_max(column.cast(pa.int64())).as_py()
    if extremes["min"] is not None and not FIRST_MICROSECOND <= extremes["min"] <= extremes["max"] <= LAST_MICROSECOND:
        raise _refused(field.name, "has a time outside the years 1 to 9999")
    return column


def _has_zero_character(column: pa.ChunkedArray) -> bool:
    """Whether a zero byte is in the texts; looks at their buffers, since that is much faster than one look per text."""
    for chunk in column.chunks:
        data = chunk.buffers()[2]
        if data is not None and (np.frombuffer(data, dtype=np.uint8) == 0).any():
            return bool(pc.any(pc.match_substring(chunk, "\0")).as_py())  # the buffer may hold more than this chunk
    return False


def _refused(name: str, what: str, received: str | None = None, fix: str | None = None) -> InvalidInput:
    return InvalidInput(f"Column '{name[:80]}' {what}.", [Problem("file", f"Column '{name[:80]}' {what}.", received, None, fix)])
