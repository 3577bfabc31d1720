"""Reads rows of a stored table. Runs as a child process, since pyarrow alone would make the API a fifth larger.

Request: ``{"path", "start", "count"}``. Answer: ``{"rows": [{column: value}]}``. Knows no HTTP and no database.
"""

import sys
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet

BATCH_CELLS = 200_000
MAX_PAGE_CHARACTERS = 4 * 1024 * 1024

Row = dict[str, Any]


def read_rows(path: Path, start: int, count: int) -> list[Row]:
    """Rows ``start`` to ``start + count`` of a Parquet file, JSON-ready; fewer of them (but one) when they are large."""
    with pyarrow.parquet.ParquetFile(path) as file:
        metadata = file.metadata
        count = max(1, min(count, BATCH_CELLS // metadata.num_columns))
        groups, skipped = _groups_from(metadata, start)
        rows = islice(_rows_of(file, groups, start - skipped), count)
        return list(_first_of(rows, MAX_PAGE_CHARACTERS))


def _groups_from(metadata: Any, start: int) -> tuple[list[int], int]:
    """The row groups from the one that holds a row on, and the number of rows before them."""
    skipped = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if start < skipped + rows:
            return list(range(group, metadata.num_row_groups)), skipped
        skipped += rows
    return [], start


def _rows_of(file: pyarrow.parquet.ParquetFile, groups: list[int], skip: int) -> Iterator[Row]:
    batch_rows = max(1, BATCH_CELLS // file.metadata.num_columns)
    for batch in file.iter_batches(batch_rows, row_groups=groups) if groups else ():
        for place in range(min(skip, batch.num_rows), batch.num_rows):
            row = {name: column[place].as_py() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            yield {name: _json_cell(value) for name, value in row.items()}
        skip = max(0, skip - batch.num_rows)


def _first_of(rows: Iterator[Row], characters: int) -> Iterator[Row]:
    for number, row in enumerate(rows):
        characters -= sum(len(value) for value in row.values() if isinstance(value, str))
        if characters < 0 and number:
            return
        yield row


def _json_cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def main() -> None:
    """Read the request from standard input and write the answer to standard output."""
    request = orjson.loads(sys.stdin.buffer.read())
    rows = read_rows(Path(request["path"]), request["start"], request["count"])
    sys.stdout.buffer.write(orjson.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
