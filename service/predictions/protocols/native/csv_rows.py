"""Rows as CSV: a header line with the names of the columns, then a line for each row."""

import csv
import io
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import orjson

from service.datasets.parsing.csv_dialect import BYTE_ORDER_MARK, decimal_point_of, sniff
from service.errors import InvalidInput, MalformedInput, Problem
from service.features.answers import AnswerColumn
from service.features.cells import MAX_PROBLEMS, OWN_RULES, shown
from service.features.plan import FeaturePlan
from service.features.raw import Array, as_objects, first_repeated
from service.features.requests import Encoded, RequestEncoder
from service.features.spreadsheets import harmless
from service.features.words import number_of, values_of

SAMPLE_CHARACTERS = 64 * 1024


class CsvRows(NamedTuple):
    """Records of a CSV text, not yet compared with a model."""

    records: list[list[str]]
    """All of equal length; the first one may be a header."""
    lines: list[int]
    """The line on which each record ends, from 1."""
    decimal_point: str


def read_csv(body: bytes, max_rows: int) -> CsvRows:
    """The records of a body. Raises MalformedInput or InvalidInput."""
    text = _text_of(body)
    delimiter, sample = sniff(text[:SAMPLE_CHARACTERS])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[list[str]] = []
    lines: list[int] = []
    try:
        for record in islice(reader, max_rows + 2):
            if record:
                records.append(record)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise MalformedInput(f"The body is no valid CSV: {error} (line {reader.line_num}).") from error
    _check(records, lines, max_rows)
    return CsvRows(records, lines, decimal_point_of(delimiter, sample))


def _text_of(body: bytes) -> str:
    try:
        return body.removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise MalformedInput(f"The body is not UTF-8: line {line} has other bytes. Save it as UTF-8.") from error


def _check(records: list[list[str]], lines: list[int], max_rows: int) -> None:
    if not records:
        raise InvalidInput("There are no rows to predict.", [Problem("line 1", "The body is empty.", None, "rows as CSV")])
    if len(records) > max_rows + 1:
        problem = Problem(f"line {lines[-1]}", "There are too many rows.", None, f"at most {max_rows}", "Send several requests.")
        raise InvalidInput("There are too many rows.", [problem])
    width = len(records[0])
    ragged = [(line, record) for record, line in zip(records, lines, strict=True) if len(record) != width][:MAX_PROBLEMS]
    if ragged:
        raise InvalidInput(
            f"Line {ragged[0][0]} has another number of cells than the first one.",
            [Problem(f"line {line}", "The number of cells differs.", str(len(record)), str(width)) for line, record in ragged],
        )


def encode_csv(rows: CsvRows, max_columns: int, encoder: RequestEncoder) -> Encoded:
    """The tensors of the model's inputs. Raises InvalidInput with the lines of what is wrong.

    ``max_columns``: as many as a table may have, that of the model's training too.
    """
    if not encoder.plan.is_of_table:
        return encoder.encode_rows(_matrix(rows, encoder.plan))
    names, *records = rows.records
    if not records:
        raise InvalidInput("There are no rows to predict.", [Problem("line 2", "No line follows the header.")])
    _check_header(names, max_columns)
    columns = {column.column: column for column in encoder.used}
    words = dict(zip(names, map(list, zip(*records, strict=True)), strict=True))
    tensors = {
        name: as_objects(values_of(columns[name], cells, rows.decimal_point) if name in columns else cells)
        for name, cells in words.items()
    }
    lines = rows.lines[1:]
    return encoder.encode_tensors(
        tensors, dict.fromkeys(names, "line 1"), lambda row, name: f"line {lines[row]}, column '{name[:80]}'", OWN_RULES
    )


def _check_header(names: list[str], max_columns: int) -> None:
    if len(names) > max_columns:
        raise InvalidInput("The header is too wide.", [_too_wide(names, f"at most {max_columns}")])
    twice = first_repeated(names)
    if twice is not None:
        raise InvalidInput("The header has a name twice.", [Problem("line 1", f"The column '{twice[:80]}' stands twice.")])


def _too_wide(record: list[str], expected: str) -> Problem:
    return Problem("line 1", "There are too many cells.", str(len(record)), expected)


def _matrix(rows: CsvRows, plan: FeaturePlan) -> Array:
    """Numbers for the only array of a model; a header, whatever its names are, is left out."""
    arrays = plan.array_inputs
    if len(arrays) != 1 or len(arrays[0].shape) != 1:
        problem = Problem("line 1", "The model takes arrays that are no single rows of numbers.", fix="Send the rows as JSON.")
        raise InvalidInput("CSV cannot hold the rows of this model.", [problem])
    width = arrays[0].shape[0]
    if len(rows.records[0]) > width:
        raise InvalidInput(f"The rows of this model have {width} numbers.", [_too_wide(rows.records[0], str(width))])
    is_headed = any(number_of(word) is None for word in rows.records[0])
    records, lines = rows.records[is_headed:], rows.lines[is_headed:]
    numbers = [[number_of(word) for word in record] for record in records]
    problems = [
        Problem(f"line {lines[row]}, cell {place + 1}", "This is no number.", shown(records[row][place]), "a number")
        for row, values in enumerate(numbers)
        for place, value in enumerate(values)
        if value is None
    ][:MAX_PROBLEMS]
    if problems:
        raise InvalidInput(f"Some rows cannot be used. {problems[0].pointer}: {problems[0].message}", problems)
    return np.array(numbers, dtype=np.float64).reshape(len(numbers), -1)


def write_csv(columns: list[AnswerColumn]) -> bytes:
    """Predictions as CSV: lists are JSON, and no text begins like a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(harmless(column.name) for column in columns)
    writer.writerows(zip(*map(_cells_of, columns), strict=True))
    return text.getvalue().encode()


def _cells_of(column: AnswerColumn) -> list[Any]:
    values, labels = column.values.tolist(), column.labels
    if labels is not None and column.values.ndim == 1:
        return [_cell(labels[place]) for place in values]
    if labels is not None:
        values = [[label for label, is_true in zip(labels, row, strict=True) if is_true] for row in values]
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, bool | list):
        return orjson.dumps(value).decode()
    return harmless(value) if isinstance(value, str) else value
