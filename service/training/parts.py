"""Finished parts of a batch prediction as files, from which another attempt goes on. Knows no model and no format of a result.

A part is an Arrow file with the rows from some row on; beside each batch stands what was noted of its rows.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from service.features.notes import Notes

START, ENVIRONMENT, NOTES = b"start", b"environment", b"notes"


class PartWriter:
    """A part that grows; the file appears under its name when it is whole."""

    def __init__(self, path: Path, schema: pa.Schema, start: int, environment: dict[str, str]) -> None:
        """``start``: number of the part's first row."""
        self._path = path
        self._incomplete = path.with_suffix(".incomplete")
        about = {START: str(start).encode(), ENVIRONMENT: msgspec.json.encode(environment)}
        self._file = pa.OSFile(str(self._incomplete), "wb")
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_file(self._file, schema.with_metadata(about), options=options)

    def write(self, batch: pa.RecordBatch, notes: Notes) -> None:
        """Add rows. Raises OSError."""
        self._writer.write_batch(batch, custom_metadata={NOTES: notes.as_json()})

    def finish(self) -> Path:
        """Make the file whole. Raises OSError."""
        self._writer.close()
        self._file.close()
        os.replace(self._incomplete, self._path)
        return self._path


class Part(NamedTuple):
    """A part of an earlier attempt."""

    path: Path
    start: int
    """Number of its first row."""
    rows: int
    environment: dict[str, str]
    """What decided about its numbers."""

    def batches(self) -> Iterator[tuple[pa.RecordBatch, Notes]]:
        """Its rows, and what was noted of them."""
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                batch, about = reader.get_batch_with_custom_metadata(number)
                yield batch.replace_schema_metadata(None), Notes.from_json(about[NOTES])


def usable_parts(paths: Sequence[Path]) -> list[Part]:
    """Those that follow each other from the first row on; one that is damaged or missing leaves out what comes after it."""
    parts: list[Part] = []
    done = 0
    for path in paths:
        part = _open(path)
        if part is not None and part.start == done:
            parts.append(part)
            done += part.rows
    return parts


def _open(path: Path) -> Part | None:
    """None where the file is damaged. All of it is read, since a result that has begun cannot be taken back."""
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            about = reader.schema.metadata
            start, environment = int(about[START]), msgspec.json.decode(about[ENVIRONMENT], type=dict[str, str])
        rows = sum(batch.num_rows for batch, _ in Part(path, start, 0, environment).batches())
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        return None
    return Part(path, start, rows, environment)
