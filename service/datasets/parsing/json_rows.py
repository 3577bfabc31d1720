"""Makes a table of rows that came as JSON objects: what kind each column is, then the columns themselves."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from service.datasets.parsing.request import ParseRequest
from service.datasets.parsing.table_writer import TableWriter
from service.errors import InvalidInput, Problem
from service.features.raw import escape

BATCH_CELLS = 500_000
MAX_PROBLEMS = 20
OUT_OF_RANGE = (pa.ArrowInvalid, OverflowError, UnicodeEncodeError)
ARROW_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
WORDS = {bool: "booleans", int: "numbers", float: "numbers", str: "texts", list: "lists", dict: "objects"}

Row = tuple[str, Any]
"""Where a row stands (``/rows/3`` or ``line 7``), and the row."""


def store_rows(request: ParseRequest, read: Callable[[], Iterable[Row]]) -> dict[str, Any]:
    """Store rows as a table; ``read`` is called twice. A missing key is a missing value. Raises InvalidInput."""
    kinds = _kinds(request, read())
    if not kinds:
        raise InvalidInput("The rows have no columns.", [Problem("/rows", "Every row is empty.")])
    schema = pa.schema([(name, ARROW_TYPES.get(kind, pa.null())) for name, kind in kinds.items()])
    writer = TableWriter(request, schema)
    rows = iter(read())
    while batch := list(islice(rows, max(1, BATCH_CELLS // len(kinds)))):
        writer.write(pa.table([_column(field, batch) for field in schema], schema=schema))
    return writer.finish()


def _kinds(request: ParseRequest, rows: Iterable[Row]) -> dict[str, type]:
    """What each column holds, in the order of their first appearance; ``NoneType`` when all values are missing."""
    kinds: dict[str, type] = {}
    problems: list[Problem] = []
    for where, row in rows:
        if type(row) is not dict:
            problem = Problem(where, "This is no row.", type(row).__name__, "an object: column name to value")
            raise InvalidInput(f"{where} is no row.", [problem])
        request.check_columns(len(row))
        for name, value in row.items():
            known = kinds.get(name)
            if known is None or type(value) is not known:
                problems += _adjust(kinds, where, name, value)
        request.check_columns(len(kinds))
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        message = f"Some values cannot be used: {problems[0].pointer}: {problems[0].message}"
        raise InvalidInput(message, problems[:MAX_PROBLEMS])
    return kinds


def _adjust(kinds: dict[str, type], where: str, name: str, value: Any) -> Iterator[Problem]:
    """Note the kind of a value of a new kind, or what is wrong with it."""
    kind, known = type(value), kinds.get(name, type(None))
    pointer = f"{where}/{escape(name)}" if where.startswith("/") else where
    if kind in (list, dict):
        yield Problem(pointer, f"Column '{name[:80]}' has {WORDS[kind]} as values.", WORDS[kind], "one value per cell")
    elif value is None or known is type(None):
        kinds[name] = known if value is None else kind
    elif {kind, known} == {int, float}:
        kinds[name] = float
    elif kind is not known:
        message = f"Column '{name[:80]}' has {WORDS[known]} and {WORDS[kind]}."
        yield Problem(pointer, message, repr(value)[:100], WORDS[known], "Use one kind of value per column.")


def _column(field: pa.Field, batch: list[Row]) -> pa.Array:
    values = [row.get(field.name) for _, row in batch]
    try:
        return _array(values, field.type)
    except OUT_OF_RANGE as error:
        where = next(where for (where, _), value in zip(batch, values, strict=True) if not _fits(value, field.type))
        message = f"Column '{field.name[:80]}' has a value out of range."
        problem = Problem(where, message, None, "text, 64-bit integers, or doubles (which hold every integer to 2**53)")
        raise InvalidInput(f"{where}: a value of column '{field.name[:80]}' is out of range.", [problem]) from error


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_floating(kind):
        values = [None if value is None else _as_double(value) for value in values]
    return pa.array(values, kind)


def _as_double(value: float) -> float:
    """Raises OverflowError on an integer that a double rounds."""
    double = float(value)
    if isinstance(value, int) and double != value:
        raise OverflowError
    return double


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        _array([value], kind)
    except OUT_OF_RANGE:
        return False
    return True
