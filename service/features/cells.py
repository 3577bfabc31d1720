"""Single values of a request: whether a column can take them, and what to say where it cannot."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any

import numpy as np

from service.errors import Problem
from service.features.categories import category_places
from service.features.datetimes import as_moments, parse_moment
from service.features.plan import CategoryColumn, DatetimeColumn, NumberColumn, TextColumn, UsedColumn
from service.features.raw import Array, as_objects

MAX_PROBLEMS = 20
MAX_WARNINGS = 20


Place = Callable[[int, str], str]
"""Where the value of a row (from 0) and a column stands, mostly as a JSON pointer."""


@dataclass(frozen=True)
class Rules:
    """Where the ways to ask differ."""

    takes_non_finite: bool
    """Whether arrays may hold NaN and infinities, which the model then computes with."""
    refuses_unknown: bool
    """Whether a column that the data never had is an error; else it is a warning."""


OWN_RULES = Rules(takes_non_finite=False, refuses_unknown=False)
TENSOR_RULES = Rules(takes_non_finite=True, refuses_unknown=True)
"""Those of the protocols of other servers, which know nothing but tensors."""


def are_plain(column: UsedColumn, values: list[Any]) -> bool:
    """Whether a look at the types alone shows that nothing is wrong with a column."""
    types = set(map(type, values))
    match column:
        case CategoryColumn():
            return types <= {str, int, float, bool, NoneType}
        case TextColumn():
            return types <= {str, NoneType}
        case DatetimeColumn():
            return types <= {str, NoneType} and all(value is None or parse_moment(value) for value in values)
    allowed = {int, float, NoneType, bool} if column.is_boolean else {int, float, NoneType}
    return types <= allowed and not any(map(_is_infinite, filter(None, values)))


def fault_of(column: UsedColumn, value: Any) -> str | None:
    """What is wrong with a value that is not null; NaN is a number that is missing, as in training."""
    match column:
        case CategoryColumn():
            return None if isinstance(value, str | int | float) else "This is no category."
        case TextColumn():
            return None if isinstance(value, str) else "This is no text."
        case DatetimeColumn():
            is_moment = isinstance(value, str) and parse_moment(value) is not None
            return None if is_moment else "This is no date."
    if isinstance(value, bool):
        return None if column.is_boolean else "This is a boolean."
    if not isinstance(value, int | float):
        return "This is no number."
    return "This number is not finite." if _is_infinite(value) else None


def _is_infinite(value: float) -> bool:
    try:
        return math.isinf(value)
    except OverflowError:
        return True


def expected_of(column: UsedColumn) -> str:
    """What a column takes, in a few words."""
    if isinstance(column, TextColumn):
        return "a text"
    if isinstance(column, DatetimeColumn):
        return "a text such as 2026-01-31 or 2026-01-31T18:00:00Z"
    if isinstance(column, CategoryColumn):
        return "one of: " + ", ".join(str(label)[:40] for label in column.vocabulary[:10])
    return "true, false, 0 or 1" if column.is_boolean else "a number"


def unknown_column(pointer: str, name: str, used: list[UsedColumn]) -> Problem:
    """What to say of a column that the data never had."""
    known = ", ".join(column.column for column in used[:10]) + (", …" if len(used) > 10 else "")
    return Problem(pointer, f"The model has no column '{name[:80]}'.", None, known, "Leave it out, or correct its name.")


def ignored(name: str) -> str:
    """The warning about a column that the data never had."""
    return f"'{name[:80]}' is no column of this model and was ignored."


def as_raw(column: UsedColumn, values: list[Any]) -> Array:
    """Values without a fault as the raw column that ``features.raw`` describes."""
    if isinstance(column, NumberColumn):
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if isinstance(column, DatetimeColumn):
        return as_moments(values)
    return as_objects(values)


def unseen_in(column: CategoryColumn, values: Array) -> Iterator[str]:
    """A warning for each value that the training rows did not have."""
    places = category_places(column, values.tolist())
    unseen = dict.fromkeys(value for value, place in zip(values, places, strict=True) if place == 0 and value is not None)
    for value in unseen:
        yield f"{shown(value)} was not seen in column '{column.column}' in training; it counts as unknown."


def shown(value: Any) -> str:
    """A received value in a few characters."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "a very large integer"  # Python refuses to write out thousands of digits
    return repr(value)[:80]
