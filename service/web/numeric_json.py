"""Reads JSON whose bulk is numbers: lists of them become numpy arrays without a Python object for each number."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import simdjson

from service.errors import InvalidInput, Problem

Array = np.ndarray[Any, Any]
Path = tuple[str | int, ...]
"""Keys and places from the outermost value to an inner one."""

MIN_BYTES = 16 * 1024
"""From this size on a text of short lists is read faster this way than by the fastest other reader."""
MAX_LISTS = 20_000
"""Lists whose lengths are compared one by one; where there are more, another reader is faster, if it may read so many."""
MAX_BRACKETS = 250_000
"""Lists and objects that become Python objects: of millions every reader takes seconds, and so does the collection of cycles."""
MAX_DEPTH = 16
MAX_KEYS = 256
"""Keys of one object: simdjson finds each by going through those before it, which of very many takes minutes."""


def load_arrays(text: bytes, holds_numbers: Callable[[Path], bool], min_bytes: int = MIN_BYTES) -> Any:
    """The value of a JSON text, in which the lists at the paths that ``holds_numbers`` names are arrays of int64 or float64.

    None for a text that another reader must read, or say what is wrong with it: one that is short or not valid (NaN and
    infinities included), or has anything else than rectangular lists of numbers at those paths, or a repeated key. Raises
    InvalidInput where the other reader would take too long.
    """
    if len(text) < min_bytes:
        return None
    brackets = _count_brackets(text)
    has_other_reader = brackets <= MAX_BRACKETS
    reader = _Reader(holds_numbers, MAX_LISTS if has_other_reader else len(text))
    try:
        value = reader.value_of(simdjson.Parser().parse(text), ())
        # simdjson flattens, so a number in brackets of its own looks like any other: the brackets are counted instead.
        if brackets == reader.brackets:
            return value
    except (_UsualWay, ValueError, RuntimeError):
        pass
    refuse_many_brackets(text)
    return None


def refuse_many_brackets(text: bytes) -> None:
    """Raise InvalidInput for a JSON text of so many lists and objects that reading it would hold up everybody else."""
    if len(text) > MAX_BRACKETS and _count_brackets(text) > MAX_BRACKETS:
        expected, fix = f"at most {MAX_BRACKETS}", "Send it in several parts, or data as a file."
        problem = Problem("", "It holds too many lists and objects.", f"more than {MAX_BRACKETS}", expected, fix)
        raise InvalidInput("The body holds too many lists and objects.", [problem])


def _count_brackets(text: bytes) -> int:
    characters = np.frombuffer(text, np.uint8)  # which counts in a quarter of the time that bytes.count takes
    return sum(int(np.count_nonzero(characters == ord(bracket))) for bracket in "[{")


class _UsualWay(Exception):
    """The text is not of the kind that is read here."""


class _Reader:
    """Turns what simdjson has parsed into values, and counts the lists and objects."""

    def __init__(self, holds_numbers: Callable[[Path], bool], max_lists: int) -> None:
        self._holds_numbers = holds_numbers
        self._max_lists = max_lists
        self.brackets = 0

    def value_of(self, element: Any, path: Path) -> Any:
        if isinstance(element, simdjson.Object):
            keys = list(element.keys())
            if len(path) > MAX_DEPTH or len(keys) > MAX_KEYS or len(set(keys)) < len(keys):
                raise _UsualWay
            self.brackets += 1
            return {key: self.value_of(element[key], (*path, key)) for key in keys}
        if not isinstance(element, simdjson.Array):
            return element
        if self._holds_numbers(path):
            array = _array_of(element, self._max_lists)
            self.brackets += sum(math.prod(array.shape[:level]) for level in range(array.ndim))
            return array
        if len(element) > MAX_LISTS or len(path) > MAX_DEPTH:
            raise _UsualWay
        self.brackets += 1
        return [self.value_of(child, (*path, place)) for place, child in enumerate(element)]


def _array_of(element: Any, max_lists: int) -> Array:
    shape = _shape_of(element)
    for kind, dtype in (("i", np.int64), ("d", np.float64)):
        try:
            numbers = np.frombuffer(element.as_buffer(of_type=kind), dtype=dtype)
        except TypeError:
            continue
        if numbers.size == math.prod(shape) and _is_rectangular(element, shape, max_lists):
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


def _is_rectangular(element: Any, shape: list[int], max_lists: int) -> bool:
    lists = math.prod(shape[:-1])
    if lists > max_lists or (lists > MAX_BRACKETS and shape[0] > MAX_BRACKETS):
        raise _UsualWay
    level = [element]
    for size in shape[1:]:
        level = [child for parent in level for child in parent]
        if not all(isinstance(child, simdjson.Array) and len(child) == size for child in level):
            return False
    return True
