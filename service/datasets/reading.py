"""Reads rows of a stored table. Runs as a child process, since pyarrow alone would make the API a fifth larger.

Request: ``{"path", "start", "count"}``. Answer: ``{"rows": [{column: value}]}``. Knows no HTTP and no database.
"""

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet

BATCH_ROWS = 8192


def read_rows(path: Path, start: int, count: int) -> Iterator[dict[str, Any]]:
    """Rows ``start`` to ``start + count`` of a Parquet file, JSON-ready."""
    position = 0
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            first = max(start - position, 0)
            if first < batch.num_rows:
                rows = batch.slice(first, count).to_pylist()
                count -= len(rows)
                yield from ({name: _json_cell(value) for name, value in row.items()} for row in rows)
            position += batch.num_rows
            if count <= 0:
                return


def _json_cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def main() -> None:
    """Read the request from standard input and write the answer to standard output."""
    request = orjson.loads(sys.stdin.buffer.read())
    rows = list(read_rows(Path(request["path"]), request["start"], request["count"]))
    sys.stdout.buffer.write(orjson.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
