"""Stores arrays as ``.npy`` files in 32 bits, block by block, and measures them on the way."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from service.datasets.parsing.request import ParseRequest
from service.errors import InvalidInput, Problem
from service.infra.moments import Moments
from service.infra.npy import release_pages, write_npy

Array = np.ndarray[Any, Any]

BLOCK_BYTES = 8 * 1024 * 1024
MAX_DIMENSIONS = 5
MAX_ARRAYS = 100
MAX_CLASSES = 10_000
MAX_CLASS_CHARACTERS = 200
MAX_NAME_LENGTH = 63
INT32 = np.iinfo(np.int32)
EXPECTED = "numbers or booleans of 1 to 5 dimensions, or one text per example"


def store_arrays(request: ParseRequest, arrays: Mapping[str, Array], pointers: Mapping[str, str]) -> dict[str, Any]:
    """Store arrays with one entry per example each; ``pointers`` says where each stands in the upload. Raises InvalidInput."""
    _check_names(list(arrays), pointers)
    for name, array in arrays.items():
        _check(name, array, pointers[name])
    lengths = {name: len(array) for name, array in arrays.items()}
    rows = next(iter(lengths.values()))
    _check_lengths(lengths, pointers)
    request.check_rows(rows)
    request.check_cells(sum(array.size for array in arrays.values()))
    request.check_target(list(arrays), "array")
    stored = [
        _StoredArray(request.beside(f"array-{number}.npy"), name, array, pointers[name])
        for number, (name, array) in enumerate(arrays.items())
    ]
    target = request.target or ("y" if "y" in arrays and len(arrays) > 1 else None)
    return {
        "kind": "arrays",
        "rows": rows,
        "target": target,
        "files": {array.name: str(array.path) for array in stored},
        "columns": [],
        "arrays": [array.description for array in stored],
    }


def blocks_of(array: Array) -> Iterator[Array]:
    """The rows of an array, some at a time; the pages of a mapped file are given back once they were read."""
    row_bytes = max(1, array[:1].nbytes)
    rows = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
        release_pages([array])


class _StoredArray:
    def __init__(self, path: Path, name: str, array: Array, pointer: str) -> None:
        self.name = name
        self.path = path
        self.description: dict[str, Any] = {"name": name, "shape": list(array.shape)}
        if array.dtype.kind == "U":
            self._store_texts(array, pointer)
        else:
            self._store_numbers(array, pointer)

    def _store_texts(self, array: Array, pointer: str) -> None:
        classes = class_names(array, self.name, pointer)
        places = (np.searchsorted(np.array(classes), block) for block in blocks_of(array))
        write_npy(self.path, array.shape, np.dtype(np.int32), places)
        self.description |= {"dtype": "int32", "classes": classes}

    def _store_numbers(self, array: Array, pointer: str) -> None:
        dtype = _stored_type(array)
        moments = Moments()
        write_npy(self.path, array.shape, dtype, moments.passing(_narrowed(array, dtype, self.name, pointer)))
        self.description |= {"dtype": str(dtype)} | moments.describe()


def class_names(array: Array, name: str, pointer: str) -> list[str]:
    """The distinct texts of an array, in order. Raises InvalidInput when there are too many to be classes."""
    found: set[str] = set()
    for block in blocks_of(array):
        try:
            found.update(np.unique(block).tolist())
        except (ValueError, SystemError) as error:  # four bytes that are no character
            raise _no_classes(name, pointer) from error
        if len(found) > MAX_CLASSES or not all(map(is_class_name, found)):
            raise _no_classes(name, pointer)
    return sorted(found)


def is_class_name(text: str) -> bool:
    """Whether a text may name a class."""
    return len(text) <= MAX_CLASS_CHARACTERS and text.isprintable()


def _no_classes(name: str, pointer: str) -> InvalidInput:
    expected = f"at most {MAX_CLASSES} different printable texts of at most {MAX_CLASS_CHARACTERS} characters"
    problem = Problem(pointer, f"Array '{name}' has texts that are no classes.", expected=expected)
    return InvalidInput(f"Array '{name}' has texts that are no classes.", [problem])


def _stored_type(array: Array) -> np.dtype[Any]:
    """Floats in 32 bits; integers too where all of them fit."""
    if array.dtype.kind == "f":
        return np.dtype(np.float32)
    if array.dtype.kind == "b" or array.dtype.itemsize < 4:
        native: np.dtype[Any] = array.dtype.newbyteorder("=")
        return native
    lowest = min(int(block.min()) for block in blocks_of(array))
    highest = max(int(block.max()) for block in blocks_of(array))
    fits = INT32.min <= lowest and highest <= INT32.max
    return np.dtype(np.int32) if fits else np.dtype(np.int64)


def _narrowed(array: Array, dtype: np.dtype[Any], name: str, pointer: str) -> Iterator[Array]:
    """The blocks of an array as another type. Raises InvalidInput on a number that it cannot hold."""
    start = 0
    for block in blocks_of(array):
        if dtype.kind == "i" and block.dtype.kind == "u" and int(block.max()) > np.iinfo(np.int64).max:
            problem = Problem(pointer, f"Array '{name}' has an integer beyond 64 bits.", fix="Send it as floats.")
            raise InvalidInput(f"Array '{name}' has large integers.", [problem])
        with np.errstate(over="ignore", invalid="ignore"):
            narrowed = block.astype(dtype)
        if dtype.kind == "f" and not np.isfinite(narrowed).all():
            first, *rest = np.argwhere(~np.isfinite(narrowed))[0].tolist()
            raise _not_finite(name, pointer, f"{float(block[(first, *rest)])!r} at {[start + first, *rest]}")
        yield narrowed
        start += len(block)


def _not_finite(name: str, pointer: str, received: str) -> InvalidInput:
    message = f"Array '{name}' has a number that is missing, infinite or beyond 32-bit floats."
    fix = "Replace missing numbers and scale large ones."
    problem = Problem(pointer, message, received, "finite numbers", fix)
    return InvalidInput(f"Array '{name}' has a number that is not finite: {received}.", [problem])


def _check(name: str, array: Array, pointer: str) -> None:
    is_text = array.dtype.kind == "U" and array.ndim == 1
    if (array.dtype.kind in "biuf" or is_text) and 1 <= array.ndim <= MAX_DIMENSIONS and array.size:
        return
    received = f"shape {list(array.shape)[:8]} of {str(array.dtype)[:80]}"
    problem = Problem(pointer, f"Array '{name}' cannot be used.", received, EXPECTED)
    raise InvalidInput(f"Array '{name}' is not an array of numbers: {received}.", [problem])


def _check_names(names: list[str], pointers: Mapping[str, str]) -> None:
    if not 1 <= len(names) <= MAX_ARRAYS:
        problem = Problem("file", "The number of arrays cannot be used.", str(len(names)), f"1 to {MAX_ARRAYS}")
        raise InvalidInput(f"The dataset has {len(names)} arrays.", [problem])
    for name in names:
        plain = name.isascii() and name.replace("_", "a").replace("-", "a").replace(".", "a").isalnum()
        if not plain or not name[0].isalnum() or len(name) > MAX_NAME_LENGTH:
            expected = "1 to 63 letters, digits, dots, underscores and hyphens, beginning with a letter or digit"
            problem = Problem(pointers[name][:100], "An array's name cannot be used.", repr(name)[:80], expected)
            raise InvalidInput("An array's name cannot be used.", [problem])


def _check_lengths(lengths: dict[str, int], pointers: Mapping[str, str]) -> None:
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name}: {length}" for name, length in list(lengths.items())[:20])
        last = list(lengths)[-1]
        problem = Problem(pointers[last], "Arrays need one entry per example each.", received, "equal lengths")
        raise InvalidInput(f"The arrays have different lengths: {received}.", [problem])
