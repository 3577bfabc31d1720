"""Values as a CSV file has them: words, of which each kind of column makes its own values. Knows no files."""

import re
from collections.abc import Callable
from typing import Any

from service.features.plan import CategoryColumn, NumberColumn, UsedColumn

MISSING = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL", "NaN", "n/a",
    "nan", "null",
})  # fmt: skip
"""What stands for no value: Arrow's default, by which uploaded CSV files are read."""
BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)


def values_of(column: UsedColumn, words: list[str], decimal_point: str = ".") -> list[Any]:
    """The value of each word; None where it is missing, and the word itself where it is none of the column's values."""
    convert = _converter(column)
    pointed = words if decimal_point == "." or convert is str else [word.replace(decimal_point, ".") for word in words]
    return [None if word in MISSING else convert(word) for word in pointed]


def number_of(word: str) -> float | None:
    """The number that a word is, or None."""
    return float(word) if _NUMBER.fullmatch(word.strip()) else None


def _converter(column: UsedColumn) -> Callable[[str], Any]:
    if isinstance(column, NumberColumn):
        return _boolean_or_number if column.is_boolean else _number
    if isinstance(column, CategoryColumn) and str not in map(type, column.vocabulary):
        return _boolean_or_number if bool in map(type, column.vocabulary) else _number
    return str


def _number(word: str) -> Any:
    if _INTEGER.fullmatch(word.strip()):
        return int(word)
    number = number_of(word)
    return word if number is None else number


def _boolean_or_number(word: str) -> Any:
    return BOOLEANS[word] if word in BOOLEANS else _number(word)
