"""Moments to numbers: the day on a line, the time of day, the weekday and the day of the year on circles.

Moments are ``datetime64`` in UTC to the microsecond, or texts of ISO 8601 (RFC 3339 is a part of it).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import numpy as np

from service.features.plan import DATETIME_PARTS, DatetimeColumn, DatetimePart
from service.features.raw import Array, is_missing, present_in

EPOCH = np.datetime64(0, "us")
PLACES: dict[DatetimePart, int] = {"hour_of_day": 24 * 60, "day_of_week": 7, "day_of_year": 366}
"""How many places each circle has: the time of day counts to the minute."""
THURSDAY = 3
"""The weekday of 1970-01-01, counted from Monday as 0."""
PARSED_ROWS = 65_536
"""Texts that are held as Python's objects at a time, which take six times the room."""
FIRST, LAST = np.datetime64("0001-01-01", "D"), np.datetime64("9999-12-31", "D")
"""The days that can be written as text."""


def parse_moment(text: str) -> datetime | None:
    """The moment of a text, in UTC and without zone; None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def as_moments(values: Array | Sequence[str | None]) -> Array:
    """``datetime64[us]`` of a raw column of dates, or of texts and None; what is no moment is missing."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return values.astype("M8[us]")
    moments = np.empty(len(values), dtype="M8[us]")
    for start in range(0, len(values), PARSED_ROWS):
        texts = values[start : start + PARSED_ROWS]
        moments[start : start + PARSED_ROWS] = [None if text is None else parse_moment(text) for text in texts]
    return moments


def as_texts(values: Array) -> list[str | None]:
    """Dates as a client would send them: as short as can be without losing anything."""
    texts: list[str] = np.datetime_as_string(values, unit="auto").tolist()
    return [None if text == "NaT" else text for text in texts]


def are_moments(values: Array) -> bool:
    """Whether every text of a raw column that is not missing begins with a date such as 2026-01-31, and is a moment."""
    return all(text[4:5] == text[7:8] == "-" and parse_moment(text) is not None for text in present_in(values))


def is_in_calendar(moments: Array) -> bool:
    """Whether all moments that are not missing are of the years 1 to 9999."""
    days = present_in(moments).astype("M8[D]")
    return bool(((days >= FIRST) & (days <= LAST)).all())


def measure_datetime(name: str, moments: Array, parts: list[DatetimePart] | None) -> DatetimeColumn:
    """The plan of a column, at least one value of which is not missing; the parts that vary where none are named, or the days."""
    present = present_in(moments)
    days, places = _days_of(present), _places_of(present)
    if parts is None:
        varying = {part: np.ptp(values) > 0 for part, values in places.items()}
        parts = [part for part in DATETIME_PARTS if varying.get(part, np.ptp(days) > 0)] or ["days"]
    since = (days - days.min()).astype(np.float64)
    return DatetimeColumn(
        column=name,
        parts=[part for part in DATETIME_PARTS if part in parts],
        first_day=int(days.min()),
        mean_days=float(since.mean()),
        deviation_days=float(since.std()),
    )


def write_datetime(column: DatetimeColumn, values: Array, out: Array) -> None:
    """Fill ``out``, zeros of shape ``(rows, column.width)``."""
    moments = as_moments(values)
    missing = is_missing(moments)
    filled = np.where(missing, EPOCH, moments)
    places, start = _places_of(filled), 0
    for part in column.parts:
        if part == "days":
            if column.deviation_days:
                out[:, start] = (_days_of(filled) - column.first_day - column.mean_days) / column.deviation_days
        else:
            out[:, start : start + 2] = _circle(PLACES[part])[places[part]]
        start += 1 if part == "days" else 2
    out[missing] = 0.0


def _days_of(moments: Array) -> Array:
    """Whole days since 1970-01-01."""
    return moments.astype("M8[D]").astype(np.int64)


def _places_of(moments: Array) -> dict[DatetimePart, Array]:
    """Where each moment is on each circle."""
    days = moments.astype("M8[D]")
    return {
        "hour_of_day": (moments - days).astype("m8[m]").astype(np.int64),
        "day_of_week": (days.astype(np.int64) + THURSDAY) % 7,
        "day_of_year": (days - days.astype("M8[Y]").astype("M8[D]")).astype(np.int64),
    }


@cache
def _circle(places: int) -> Array:
    """Sine and cosine of every place, ``(places, 2)``: looked up, so that they do not depend on how many rows there are."""
    angles = 2 * np.pi * np.arange(places) / places
    return np.stack([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
