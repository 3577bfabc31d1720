"""What a raw column is: a numpy array of numbers (NaN is missing), booleans, dates (NaT) or objects (None)."""

import math
import operator
from collections.abc import Iterable
from itertools import repeat
from types import NoneType
from typing import Any, Literal

import numpy as np

from service.features.plan import Label

Array = np.ndarray[Any, Any]
FEW_NUMBERS = 4096
"""Of so few the sum of squares is the quickest thing that numpy can tell; of many its BLAS would use several threads."""
LARGE = 1e38
MAX_POINTER_PART = 100
Kind = Literal["number", "boolean", "text", "date", "empty", "other"]


def kind_of(values: Array) -> Kind:
    """What a raw column holds, missing values aside."""
    if values.dtype.kind in "fM":
        kind: Kind = "number" if values.dtype.kind == "f" else "date"
        return "empty" if is_missing(values).all() else kind
    if values.dtype.kind != "O":
        by_dtype: dict[str, Kind] = {"i": "number", "u": "number", "b": "boolean"}
        return by_dtype.get(values.dtype.kind, "other")
    types = set(map(type, values)) - {NoneType}
    if not types:
        return "empty"
    by_type: dict[type, Kind] = {str: "text", bool: "boolean", int: "number"}
    return by_type.get(types.pop(), "other") if len(types) == 1 else "other"


def is_missing(values: Array) -> Array:
    """One boolean per row of a raw column."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind in "Mm":
        return np.isnat(values)
    if values.dtype.kind == "O":
        return np.fromiter(map(operator.is_, values, repeat(None)), bool, len(values))
    return np.zeros(len(values), dtype=bool)


def present_in(values: Array) -> Array:
    """The values that are not missing; no copy where none is."""
    missing = is_missing(values)
    return values[~missing] if missing.any() else values


def labels_of(values: Array) -> list[Label]:
    """The distinct values of a raw column in order, missing ones left out; whole numbers as integers."""
    present = present_in(values)
    distinct = sorted(set(present.tolist())) if present.dtype.kind == "O" else np.unique(present).tolist()
    if distinct and all(isinstance(value, float) and value.is_integer() for value in distinct):
        return [int(value) for value in distinct]
    return distinct


def all_finite(values: Array) -> bool:
    """Whether no number is NaN or infinite."""
    is_small = values.size <= FEW_NUMBERS and math.isfinite(np.vdot(values, values))
    return is_small or bool(np.isfinite(values).all())


def fit_float32(values: Array) -> bool:
    """Whether all numbers are finite and far from what float32 cannot hold."""
    if values.size <= FEW_NUMBERS:
        return bool(np.vdot(values, values) < LARGE * LARGE)
    return bool(values.min() > -LARGE and values.max() < LARGE)


def as_objects(values: list[Any]) -> Array:
    """The values as an array of one axis, whatever they are."""
    return np.fromiter(values, dtype=object, count=len(values))  # np.array would make a matrix of lists


def escape(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901), cut where it is longer than anybody would read."""
    return name[:MAX_POINTER_PART].replace("~", "~0").replace("/", "~1")


def first_repeated(names: Iterable[str]) -> str | None:
    """The first name that has come before; found in one walk, since a client may send very many."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
