"""Measures one raw column and plans what it becomes. Knows no target, files or Keras."""

import math
from typing import Literal, NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.datetimes import are_moments, as_moments, is_in_calendar, measure_datetime
from service.features.plan import (
    CategoryColumn,
    DatetimeColumn,
    DatetimePart,
    ExcludedColumn,
    NumberColumn,
    PlannedColumn,
    TextColumn,
)
from service.features.raw import Array, Kind, escape, is_missing, labels_of, present_in
from service.features.texts import FIRST_TOKEN, most_frequent_words
from service.spec.features import (
    CategoryFeature,
    DatetimeFeature,
    NumberFeature,
    TextFeature,
)

MAX_AUTO_CATEGORIES = 50
MAX_CATEGORIES = 10_000

UsedFeature = NumberFeature | CategoryFeature | DatetimeFeature | TextFeature
Planned = tuple[PlannedColumn, str]
"""A column, and what becomes of it in a few plain words."""


def plan_column(name: str, values: Array, kind: Kind, feature: UsedFeature | None) -> Planned:
    """What becomes of a raw column that has values; chosen by its kind where there is no setting. Raises InvalidInput."""
    match feature:
        case NumberFeature():
            return _plan_number(name, values, kind, feature)
        case CategoryFeature():
            return _plan_category(name, values, kind, feature.encoding)
        case DatetimeFeature():
            return _plan_datetime(name, values, kind, feature.parts)
        case TextFeature():
            return _plan_text(name, values, kind, feature)
    return _plan_automatically(name, values, kind)


def exclude(name: str, reason: str) -> Planned:
    """The plan of a column that the model does not see."""
    return ExcludedColumn(column=name, reason=reason), f"left out: {reason}"


def _plan_automatically(name: str, values: Array, kind: Kind) -> Planned:
    if kind in ("number", "boolean"):
        return _plan_number(name, values, kind, NumberFeature(scale="standardize" if kind == "number" else "none"))
    if kind == "date" or (kind == "text" and are_moments(values)):
        date, words = _plan_datetime(name, values, kind, None)
        is_constant = date.parts == ["days"] and not date.deviation_days
        return exclude(name, "its dates are all the same, to the minute") if is_constant else (date, words)
    if kind != "text":
        return exclude(name, "its values are neither numbers, booleans, dates nor text")
    if len(labels_of(values)) <= MAX_AUTO_CATEGORIES:
        return _plan_category(name, values, kind, "one_hot")
    text, words = _plan_text(name, values, kind, TextFeature())
    return (text, words) if text.width > 1 else exclude(name, "its texts have no words")


# Numbers


class _Measures(NamedTuple):
    low: float
    high: float
    mean: float
    deviation: float


def _plan_number(name: str, values: Array, kind: Kind, feature: NumberFeature) -> Planned:
    if kind not in ("number", "boolean"):
        fix = 'Use {"type": "datetime"}.' if kind == "date" else 'Use {"type": "category"} or {"type": "exclude"}.'
        raise _unusable(name, "as a number", "The column holds no numbers", kind, "numbers or booleans", fix)
    present = present_in(values).astype(np.float64, copy=False)
    measures = _measure(name, present)
    offset, divisor, words = _scaling(measures, feature.scale)
    column = NumberColumn(
        column=name,
        missing=_missing(present, measures, feature.missing),
        offset=offset,
        divisor=divisor,
        is_boolean=kind == "boolean",
        low=measures.low,
        high=measures.high,
    )
    words = "0 or 1" if kind == "boolean" and feature.scale == "none" else words
    return column, words + _missing_in_words(values, feature.missing, column.missing)


def _measure(name: str, present: Array) -> _Measures:
    with np.errstate(over="ignore", invalid="ignore"):
        measures = _Measures(*(float(measure(present)) for measure in (np.min, np.max, np.mean, np.std)))
    if not all(map(math.isfinite, measures)):
        problem = Problem(
            f"/dataset/columns/{escape(name)}",
            "A value is infinite or too large to measure.",
            f"{measures.low:g} to {measures.high:g}",
        )
        raise InvalidInput(f"Column '{name}' holds numbers that are too large to scale.", [problem])
    return measures


def _scaling(measures: _Measures, scale: str) -> tuple[float, float, str]:
    """Offset, divisor, and both in words."""
    low, high, mean, deviation = measures
    if scale == "none":
        return 0.0, 1.0, "number as it is"
    if low == high:
        return low, 0.0, f"number, always {low:g}, so it becomes 0"
    if scale == "min_max":
        return low, high - low, f"number, from {low:g} to {high:g} scaled to 0 to 1"
    return mean, deviation, f"number, standardized (mean {mean:.4g}, deviation {deviation:.4g})"


def _missing(present: Array, measures: _Measures, missing: Literal["mean", "median"] | float) -> float:
    if missing == "median":
        return float(np.median(present))
    return measures.mean if isinstance(missing, str) else float(missing)


def _missing_in_words(values: Array, missing: str | float, value: float) -> str:
    """The mean needs no words where it is not used."""
    count = int(is_missing(values).sum())
    if not count and missing == "mean":
        return ""
    return f"; missing counts as {f'the {missing}, ' if isinstance(missing, str) else ''}{value:.4g}"


# Categories


def _plan_category(name: str, values: Array, kind: Kind, encoding: Literal["one_hot", "index"]) -> Planned:
    if kind not in ("number", "boolean", "text"):
        fix = 'Use {"type": "datetime"}.' if kind == "date" else 'Use {"type": "exclude"}.'
        raise _unusable(name, "as a category", "The values have no names", kind, "text, numbers or booleans", fix)
    vocabulary = labels_of(values)
    if len(vocabulary) > MAX_CATEGORIES:
        problem = Problem(
            f"/features/columns/{escape(name)}",
            "There are too many different values.",
            str(len(vocabulary)),
            f"at most {MAX_CATEGORIES}",
        )
        raise InvalidInput(f"Column '{name}' has {len(vocabulary)} different values, too many for a category.", [problem])
    words = "one-hot" if encoding == "one_hot" else "as the value's place"
    return CategoryColumn(column=name, vocabulary=vocabulary, encoding=encoding), f"one of {len(vocabulary)} values, {words}"


# Dates


def _plan_datetime(name: str, values: Array, kind: Kind, parts: list[DatetimePart] | None) -> tuple[DatetimeColumn, str]:
    if kind not in ("date", "text"):
        fix = 'Use {"type": "number"} or {"type": "exclude"}.'
        raise _unusable(name, "as a date", "The column holds no dates", kind, "dates", fix)
    if kind == "date" and not is_in_calendar(values):
        fix = 'Correct it, or use {"type": "exclude"}.'
        raise _unusable(name, "as a date", "A date is outside of the calendar", "another year", "years 1 to 9999", fix)
    moments = as_moments(values)
    wrong = np.flatnonzero(is_missing(moments) & ~is_missing(values))
    if len(wrong):
        fix = 'Write dates as 2026-01-31 or 2026-01-31T18:00:00Z; or use {"type": "text"}.'
        raise _unusable(name, "as a date", "A text is no date", repr(values[wrong[0]])[:80], "ISO 8601", fix)
    column = measure_datetime(name, moments, parts)
    days = "days since the first (standardized)" if column.deviation_days else "days (always the same, so they become 0)"
    shown = ", ".join(days if part == "days" else f"{part.replace('_', ' ')} (on a circle)" for part in column.parts)
    return column, f"date as {shown}"


# Texts


def _plan_text(name: str, values: Array, kind: Kind, feature: TextFeature) -> Planned:
    if kind != "text":
        fix = 'Use {"type": "category"}, {"type": "number"} or {"type": "datetime"}.'
        raise _unusable(name, "as text", "The column holds no text", kind, "text", fix)
    vocabulary = most_frequent_words(values, feature.max_words)
    if feature.encoding == "multi_hot":
        return TextColumn(column=name, vocabulary=vocabulary, encoding="multi_hot"), f"which of {len(vocabulary)} words are in it"
    column = TextColumn(column=name, vocabulary=vocabulary, encoding="tokens", length=feature.length)
    tokens = len(vocabulary) + FIRST_TOKEN
    return column, f"its first {feature.length} words as numbers from 0 to {tokens - 1} (an Embedding with input_dim {tokens})"


def _unusable(name: str, use: str, message: str, received: str, expected: str, fix: str) -> InvalidInput:
    problem = Problem(f"/features/columns/{escape(name)}", f"{message}.", received, expected, fix)
    reason = f"{message[0].lower()}{message[1:]}. Received {received}, expected {expected}. {fix}"
    return InvalidInput(f"Column '{name}' cannot be used {use}: {reason}", [problem])
