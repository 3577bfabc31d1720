"""Reads JSON whose bulk is numbers: lists of them become numpy arrays without a Python object for each number."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import simdjson

Array = np.ndarray[Any, Any]
Path = tuple[str | int, ...]
"""Keys and places from the outermost value to an inner one."""

MIN_BYTES = 16 * 1024
"""From this size on a text of short lists is read faster this way than by the fastest other reader."""
MAX_LISTS = 20_000
"""Lists whose lengths are compared one by one; where there are more, another reader is faster."""
MAX_DEPTH = 16
MAX_KEYS = 1000
"""Keys of an object: each is looked up from the first one on, so that very many would take minutes."""


def load_arrays(text: bytes, holds_numbers: Callable[[Path], bool], min_bytes: int = MIN_BYTES) -> Any:
    """The value of a JSON text, in which the lists at the paths that ``holds_numbers`` names are arrays of int64 or float64.

    None for a text that another reader must read, or say what is wrong with it: one that is short or not valid (NaN and
    infinities included), or has anything else than rectangular lists of numbers at those paths, or a repeated key.
    """
    if len(text) < min_bytes:
        return None
    reader = _Reader(holds_numbers)
    try:
        value = reader.value_of(simdjson.Parser().parse(text), ())
    except (_UsualWay, ValueError, RuntimeError):
        return None
    # simdjson flattens, so a number in brackets of its own looks like any other: the brackets are counted instead.
    return value if text.count(b"[") == reader.lists else None


class _UsualWay(Exception):
    """The text is not of the kind that is read here."""


class _Reader:
    """Turns what simdjson has parsed into values, and counts the lists."""

    def __init__(self, holds_numbers: Callable[[Path], bool]) -> None:
        self._holds_numbers = holds_numbers
        self.lists = 0

    def value_of(self, element: Any, path: Path) -> Any:
        if isinstance(element, simdjson.Object):
            keys = list(element.keys())
            if len(path) > MAX_DEPTH or len(keys) > MAX_KEYS or len(set(keys)) < len(keys):
                raise _UsualWay
            return {key: self.value_of(element[key], (*path, key)) for key in keys}
        if not isinstance(element, simdjson.Array):
            return element
        if self._holds_numbers(path):
            array = _array_of(element)
            self.lists += sum(math.prod(array.shape[:level]) for level in range(array.ndim))
            return array
        if len(element) > MAX_LISTS or len(path) > MAX_DEPTH:
            raise _UsualWay
        self.lists += 1
        return [self.value_of(child, (*path, place)) for place, child in enumerate(element)]


def _array_of(element: Any) -> Array:
    shape = _shape_of(element)
    for kind, dtype in (("i", np.int64), ("d", np.float64)):
        try:
            numbers = np.frombuffer(element.as_buffer(of_type=kind), dtype=dtype)
        except TypeError:
            continue
        if numbers.size == math.prod(shape) and _is_rectangular(element, shape):
            return numbers.reshape(shape)
        break
    raise _UsualWay


def _shape_of(element: Any) -> list[int]:
    """The shape that the first elements have."""
    shape: list[int] = []
    while isinstance(element, simdjson.Array):
        if len(shape) > MAX_DEPTH or not len(element):
            raise _UsualWay
        shape.append(len(element))
        element = element[0]
    return shape


def _is_rectangular(element: Any, shape: list[int]) -> bool:
    if math.prod(shape[:-1]) > MAX_LISTS:
        raise _UsualWay
    level = [element]
    for size in shape[1:]:
        level = [child for parent in level for child in parent]
        if not all(isinstance(child, simdjson.Array) and len(child) == size for child in level):
            return False
    return True
