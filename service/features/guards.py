"""Finds columns from which a model would learn nothing of use, or far too much: ids, and the target in disguise."""

import re

import numpy as np

from service.features.raw import Array, Kind, is_missing

MIN_ROWS = 20
"""In fewer rows anything may look like an id."""
FIRST_ROWS = 1000
"""Looked at first, since most columns are cleared by these."""
NEARLY_ALL = 0.95
ID_WORDS = frozenset({"id", "ids", "uuid", "guid", "idx"})
_NAME_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def suspicion_of(name: str, values: Array, kind: Kind, truth: Array, has_classes: bool) -> str | None:
    """Why a raw column should not be learnt from; None where nothing speaks against it.

    ``truth`` is the raw target ``(rows,)`` of the same rows, and ``has_classes`` says that it is no measured number.
    """
    is_present = ~is_missing(values)
    values, truth = values[is_present], truth[is_present]
    if len(values) < MIN_ROWS:
        return None
    if kind in ("number", "boolean", "text") and _repeats_target(values, kind, truth, has_classes):
        return "it says the same as the target"
    if kind == "number" and _numbers_rows(name, values):
        return "it is a different integer in every row, like an id"
    if kind == "text" and _names_rows(values):
        return "it is a different word in nearly every row, like an id"
    return None


def _repeats_target(values: Array, kind: Kind, truth: Array, has_classes: bool) -> bool:
    if not has_classes:
        return kind != "text" and bool(np.array_equal(values.astype(np.float64), truth.astype(np.float64)))
    first = slice(0, FIRST_ROWS)
    return _is_one_to_one(values[first], truth[first]) and _is_one_to_one(values, truth)


def _is_one_to_one(values: Array, truth: Array) -> bool:
    """Whether each value stands for one class and each class for one value, most of which come more than once."""
    pairs = set(zip(values.tolist(), truth.tolist(), strict=True))
    distinct, classes = ({pair[side] for pair in pairs} for side in (0, 1))
    return len(pairs) == len(distinct) == len(classes) and 2 * len(pairs) <= len(values)


def _numbers_rows(name: str, values: Array) -> bool:
    """Integers that are all different, and rise or fall without large gaps; or whose name says what they are."""
    if values.dtype.kind == "f":
        return False
    is_ordered = bool((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all())
    if is_ordered and abs(int(values[-1]) - int(values[0])) < 2 * len(values):
        return True
    return _is_named_as_id(name) and len(np.unique(values)) == len(values)


def _is_named_as_id(name: str) -> bool:
    words = [word.lower() for word in _NAME_WORD.findall(name)]
    return words == ["index"] or (bool(words) and not ID_WORDS.isdisjoint((words[0], words[-1])))


def _names_rows(values: Array) -> bool:
    texts = values.tolist()
    if len(set(texts)) < NEARLY_ALL * len(texts):
        return False
    return sum(len(text.split()) == 1 for text in texts) >= NEARLY_ALL * len(texts)
