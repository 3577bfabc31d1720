"""Cuts a CSV file into blocks of whole records, and finds the line of what is wrong in one."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.datasets.parsing.csv_dialect import MAX_RECORD_BYTES, Dialect, not_text, zero_byte
from service.errors import InvalidInput, Problem

BLOCK_BYTES = 8 * 1024 * 1024
SENTINEL = "\0"
"""Stands in no file that is accepted; what comes after the last line."""
QUOTE, NEWLINE = b'"', b"\n"


@dataclass(frozen=True)
class Block:
    """Some whole records of a file."""

    start: int
    """Place of its first byte in the file."""
    first_line: int
    data: bytes


def read_blocks(path: Path, dialect: Dialect, start: int, first_line: int, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The records from a place on, in blocks of about ``size`` bytes.

    Raises InvalidInput on bytes that are not UTF-8, zero bytes, and a record beyond 16 MiB, which an open quote makes.
    """
    carried = b""
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(size):
            carried += chunk
            end = _end_of_records(carried, dialect)
            if end:
                block = Block(start, first_line, carried[:end])
                yield _checked(block)
                start, first_line, carried = start + end, first_line + block.data.count(NEWLINE), carried[end:]
            elif len(carried) > MAX_RECORD_BYTES:
                raise _too_long(first_line)
    if carried:
        if _is_open(carried, dialect):
            raise _open_quote(first_line + _lines_before_last_record(carried, dialect))
        yield _checked(Block(start, first_line, carried))


def _end_of_records(data: bytes, dialect: Dialect) -> int:
    """Where the last whole record ends; 0 when there is none."""
    end = data.rfind(NEWLINE) + 1
    if not data.count(QUOTE, 0, end) % 2:
        return end  # every quote that was opened is closed
    *_, last = _record_ends(data[:end], dialect)
    return last


def _record_ends(data: bytes, dialect: Dialect) -> Iterator[int]:
    """Where each whole record ends, after a first 0: a quote in the middle of a cell opens nothing, which only a reader knows."""
    consumed = 0

    def lines() -> Iterator[str]:
        nonlocal consumed
        for line in data.splitlines(keepends=True):
            consumed += len(line)
            yield line.decode("latin-1")  # one character per byte
        yield SENTINEL

    yield 0
    with suppress(csv.Error):  # a cell that is longer than any may be: no record ends any more
        for record in csv.reader(lines(), delimiter=dialect.delimiter):
            if record and record[-1].endswith(SENTINEL):
                return
            yield consumed


def _is_open(data: bytes, dialect: Dialect) -> bool:
    """Whether the file ends within a quoted cell."""
    if not data.count(QUOTE) % 2:
        return False
    if not data.endswith(NEWLINE):
        data += NEWLINE
    *_, last = _record_ends(data, dialect)
    return last < len(data)


def _lines_before_last_record(data: bytes, dialect: Dialect) -> int:
    *_, last = _record_ends(data, dialect)
    return data.count(NEWLINE, 0, last)


def _checked(block: Block) -> Block:
    if b"\0" in block.data:
        raise zero_byte(block.first_line + block.data.count(NEWLINE, 0, block.data.index(b"\0")))
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        raise not_text(block.first_line + block.data.count(NEWLINE, 0, error.start), block.start + error.start) from error
    return block


def ragged_record(block: Block, dialect: Dialect) -> Problem | None:
    """The first record with more or fewer cells than there are columns."""
    expected = len(dialect.names)
    for line, record in _numbered(block, dialect):
        if len(record) != expected:
            received = f"{len(record)} value{'s' if len(record) != 1 else ''}"
            fix = "Check that line for a missing or an extra separator, or an open quote."
            return Problem("file", f"Line {line} has {received}, expected {expected}.", received, f"{expected} values", fix)
    return None


def find_cell(block: Block, dialect: Dialect, column: int, is_meant: Callable[[str], bool]) -> tuple[int, str] | None:
    """Line and text of the first cell of a column that is meant."""
    for line, record in _numbered(block, dialect):
        if len(record) > column and is_meant(record[column]):
            return line, record[column]
    return None


def _numbered(block: Block, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its first line; empty lines are no records."""
    reader = csv.reader(io.StringIO(block.data.decode(), newline=""), delimiter=dialect.delimiter)
    line = block.first_line
    for record in reader:
        if record:
            yield line, record
        line = block.first_line + reader.line_num


def _too_long(line: int) -> InvalidInput:
    message = f"Line {line} begins a record of more than {MAX_RECORD_BYTES // 1024**2} MiB."
    return InvalidInput(message, [Problem("file", message, fix="Look for a quote there that is not closed.")])


def _open_quote(line: int) -> InvalidInput:
    message = f"Line {line} opens a quote that is never closed."
    return InvalidInput(message, [Problem("file", message, fix='Close it, or write a quote inside a cell as "".')])
