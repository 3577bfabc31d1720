"""The types of a CSV file's columns: how they widen from block to block, and what to tell when a column mixes kinds."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from service.datasets.parsing.csv_blocks import Block, find_cell
from service.datasets.parsing.csv_dialect import Dialect

FAILED_COLUMN = re.compile(r"In CSV column #(\d+)")
NUMBER = r"^\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*$"
LOOKS_LIKE_NUMBER = re.compile(NUMBER)
MISSING = frozenset(pa.csv.ConvertOptions().null_values)
SAMPLE_ROWS = 10_000
MOSTLY = 0.5
MAX_EXPLAINED = 20

Types = dict[str, pa.DataType]


def unify(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The narrowest type that holds the values of both: text where they mix kinds."""
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if pa.types.is_primitive(first) and {first, second} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if _are_plain_times(first) and _are_plain_times(second):
        return pa.timestamp("us")
    if pa.types.is_timestamp(first) and pa.types.is_timestamp(second) and first.tz == second.tz:
        return pa.timestamp("us", first.tz)
    return pa.string()


def explain_mixed(block: Block, dialect: Dialect, table: pa.Table, warnings: dict[str, str]) -> None:
    """Warn of text columns that are mostly numbers."""
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if len(warnings) >= MAX_EXPLAINED:
            return
        if pa.types.is_string(column.type) and _is_mostly_numbers(column.slice(0, SAMPLE_ROWS).drop_null()):
            _explain(block, dialect, place, name, "numbers", warnings)


def explain_widening(block: Block, dialect: Dialect, before: Types, after: Types, warnings: dict[str, str]) -> None:
    """Warn of columns that have become text because of a block."""
    for place, name in enumerate(dialect.names):
        became_text = pa.types.is_string(after[name]) and not pa.types.is_string(before[name])
        if len(warnings) < MAX_EXPLAINED and became_text and not pa.types.is_null(before[name]):
            is_number = pa.types.is_integer(before[name]) or pa.types.is_floating(before[name])
            _explain(block, dialect, place, name, "numbers" if is_number else _words(before[name]), warnings)


def _explain(block: Block, dialect: Dialect, place: int, name: str, kind: str, warnings: dict[str, str]) -> None:
    found = find_cell(block, dialect, place, _is_no_number) if kind == "numbers" else None
    where = (
        f"line {found[0]} holds {found[1][:40]!r}" if found else f"something from line {block.first_line} on is of another kind"
    )
    warnings.setdefault(name, f"The values are {kind}, but {where}, so the whole column is text.")


def _is_no_number(cell: str) -> bool:
    return cell not in MISSING and not LOOKS_LIKE_NUMBER.match(cell)


def _is_mostly_numbers(texts: pa.ChunkedArray) -> bool:
    return len(texts) > 0 and MOSTLY <= pc.mean(pc.match_substring_regex(texts, NUMBER)).as_py() < 1


def _are_plain_times(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None))


def _words(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true and false at first"
    return "dates or times at first"
