"""Reads CSV files of any size, plain or gzipped, block by block.

The types of the columns are those of the first block. Where a later block does not fit them, the types of all blocks are
found out, and the file is read once more: integers become numbers, and a column that mixes kinds becomes text.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from service.datasets.parsing.csv_blocks import Block, ragged_record, read_blocks
from service.datasets.parsing.csv_dialect import Dialect, read_dialect
from service.datasets.parsing.csv_types import FAILED_COLUMN, Types, explain_mixed, explain_widening, unify
from service.datasets.parsing.request import ParseRequest
from service.datasets.parsing.table_writer import TableWriter, no_rows
from service.datasets.parsing.unpacking import unpacked
from service.errors import InvalidInput, Problem

ARROW_BLOCK_BYTES = 1024 * 1024
ARROW_COLUMN_BYTES = 4096
"""Arrow cuts a column with each of its blocks, so that blocks of a few rows of many columns take very long."""
MAX_ROUNDS = 4


class Misfit(Exception):
    """A block has a value that is not of its column's type."""

    def __init__(self, block: Block, types: Types, reason: str) -> None:
        super().__init__(reason)
        self.block = block
        self.types = types
        self.reason = reason


def parse_csv(request: ParseRequest) -> dict[str, Any]:
    """Store a CSV file as a table. Raises InvalidInput or MalformedInput."""
    path = unpacked(request)
    source = CsvSource(path, read_dialect(path, request))
    warnings: dict[str, str] = {}
    types: Types = {}
    for _ in range(MAX_ROUNDS):
        try:
            return _store(source, types, request, warnings)
        except Misfit as raised:
            misfit = raised.with_traceback(None)  # which would keep all that was read so far
        types = _widen(source, misfit, warnings)
    raise InvalidInput("The CSV cannot be read.", [Problem("file", misfit.reason)])


class CsvSource:
    """A CSV file as Arrow tables, one per block."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path = path
        self.dialect = dialect

    def blocks(self, since: Block | None = None) -> Iterator[Block]:
        """All blocks, or those from one on."""
        start, first_line = (self.dialect.start, self.dialect.first_line) if since is None else (since.start, since.first_line)
        return read_blocks(self._path, self.dialect, start, first_line)

    def read(self, block: Block, types: Types) -> pa.Table:
        """A block's rows; columns that ``types`` leaves out get the type that fits. Raises Misfit or InvalidInput."""
        try:
            return self._parse(block, types, max(ARROW_BLOCK_BYTES, len(self.dialect.names) * ARROW_COLUMN_BYTES))
        except pa.ArrowInvalid as error:
            reason = str(error).split("\n", 1)[0][:300]
            if FAILED_COLUMN.match(reason):
                raise Misfit(block, types, reason) from error
        problem = ragged_record(block, self.dialect)
        if problem is not None:
            raise InvalidInput(f"The CSV cannot be read: {problem.message}", [problem])
        try:
            return self._parse(block, types, len(block.data) + 1)  # a record may be longer than one of Arrow's blocks
        except pa.ArrowInvalid as error:
            reason = str(error).split("\n", 1)[0][:300]
            raise InvalidInput("The CSV cannot be read.", [Problem("file", f"From line {block.first_line}: {reason}")]) from error

    def _parse(self, block: Block, types: Types, arrow_block_bytes: int) -> pa.Table:
        return pa.csv.read_csv(
            pa.py_buffer(block.data),
            read_options=pa.csv.ReadOptions(column_names=self.dialect.names, block_size=arrow_block_bytes),
            parse_options=pa.csv.ParseOptions(delimiter=self.dialect.delimiter, newlines_in_values=b'"' in block.data),
            convert_options=pa.csv.ConvertOptions(
                column_types=types, strings_can_be_null=True, decimal_point=self.dialect.decimal_point
            ),
        )


def _store(source: CsvSource, types: Types, request: ParseRequest, warnings: dict[str, str]) -> dict[str, Any]:
    blocks = source.blocks()
    first = next(blocks, None)
    if first is None:
        raise no_rows()
    table = source.read(first, types)
    explain_mixed(first, source.dialect, table, warnings)
    types = _types_of(table)
    writer = TableWriter(request, table.schema)
    writer.write(table)
    for table in _one_ahead(source.read(block, types) for block in blocks):
        writer.write(table)
    return writer.finish(warnings)


def _one_ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same tables; each is made while the one before it is worked on."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(next, tables, None)
        while (table := waiting.result()) is not None:
            waiting = pool.submit(next, tables, None)
            yield table


def _widen(source: CsvSource, misfit: Misfit, warnings: dict[str, str]) -> Types:
    """The types that hold all blocks, those from the misfit on looked at anew."""
    types = misfit.types
    for block in source.blocks(since=misfit.block):
        known = {name: kind for name, kind in types.items() if pa.types.is_string(kind)}
        found = _types_of(source.read(block, known))
        wider = {name: unify(kind, found[name]) for name, kind in types.items()}
        explain_widening(block, source.dialect, types, wider, warnings)
        types = wider
    failed = FAILED_COLUMN.match(misfit.reason)
    assert failed is not None, "a misfit names its column"
    name = source.dialect.names[int(failed[1])]
    if types[name] == misfit.types[name]:
        types[name] = pa.string()  # it was as wide already, and still a value did not fit
    return types


def _types_of(table: pa.Table) -> Types:
    return dict(zip(table.column_names, table.schema.types, strict=True))
