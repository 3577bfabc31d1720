"""Finds out how a CSV file is written: what separates its cells, its decimal point, the names of its columns."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from service.datasets.parsing.request import ParseRequest
from service.errors import InvalidInput, Problem

SAMPLE_BYTES = 64 * 1024
SAMPLE_RECORDS = 50
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_RECORD_BYTES = 16 * 1024 * 1024
DELIMITERS = ",\t;|"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
DECIMAL_POINT = re.compile(r"[-+]?\d+\.\d+")

csv.field_size_limit(MAX_RECORD_BYTES)


@dataclass(frozen=True)
class Dialect:
    """How a file is written, and where its data begin."""

    delimiter: str
    decimal_point: str
    names: list[str]
    start: int
    """Place of the first byte after the header."""
    first_line: int
    """Number of the line there; the first of the file is 1."""


def read_dialect(path: Path, request: ParseRequest) -> Dialect:
    """Look at the beginning of a file. Raises InvalidInput when there is no usable header line."""
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
        if b"\n" not in head:
            head += file.readline(MAX_HEADER_BYTES)
    mark = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    sample = _as_text(head[mark : head.rfind(b"\n") + 1 or None])
    delimiter, records = sniff(sample[:SAMPLE_BYTES])  # a header may be far longer
    names, consumed, lines = _read_header(sample, delimiter)
    request.check_columns(len(names))
    point = decimal_point_of(delimiter, records)
    return Dialect(delimiter, point, names, start=mark + len(consumed.encode()), first_line=lines + 1)


def not_text(line: int, place: int) -> InvalidInput:
    """The error about a byte that is not UTF-8."""
    problem = Problem("file", f"Line {line}: byte {place} of the file is not UTF-8.", expected="UTF-8", fix="Save it as UTF-8.")
    return InvalidInput("The CSV is not UTF-8 text.", [problem])


def zero_byte(line: int) -> InvalidInput:
    """The error about a zero byte, which UTF-16 text has everywhere."""
    message, fix = f"Line {line} holds zero bytes.", "Save it as UTF-8 (it may be UTF-16)."
    return InvalidInput("The CSV is not UTF-8 text.", [Problem("file", message, expected="UTF-8 text", fix=fix)])


def _as_text(head: bytes) -> str:
    if b"\0" in head:
        raise zero_byte(head.count(b"\n", 0, head.index(b"\0")) + 1)
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        raise not_text(head.count(b"\n", 0, error.start) + 1, error.start) from error
    if not text.strip():
        problem = Problem("file", "There is no header line.", expected="a first line with column names")
        raise InvalidInput("The CSV is empty.", [problem])
    return text


def _records(sample: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    return list(islice(filter(None, reader), SAMPLE_RECORDS))


def sniff(sample: str) -> tuple[str, list[list[str]]]:
    """The delimiter that gives most records as many cells as the header has; of equal ones, that with more columns."""
    best, best_score = (",", _records(sample, ",")), (0.0, 1)
    for delimiter in DELIMITERS:
        records = _records(sample, delimiter)
        width = len(records[0]) if records else 0
        score = (sum(len(record) == width for record in records) / max(len(records), 1), width)
        if width > 1 and score > best_score:
            best, best_score = (delimiter, records), score
    return best


def _read_header(sample: str, delimiter: str) -> tuple[list[str], str, int]:
    """The names, the text up to the end of the header, and its number of lines."""
    consumed: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(sample, newline=""):
            consumed.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter)
    names = next(filter(None, reader))
    return names, "".join(consumed), len(consumed)


def decimal_point_of(delimiter: str, records: list[list[str]]) -> str:
    if delimiter == ",":
        return "."
    cells = [cell.strip() for record in records[1:] for cell in record]
    has_commas, has_points = (any(map(pattern.fullmatch, cells)) for pattern in (DECIMAL_COMMA, DECIMAL_POINT))
    return "," if has_commas and not has_points else "."
