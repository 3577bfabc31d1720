"""Reads numpy's own files: one array in an ``.npy``, several by name in an ``.npz``. Nothing in them is ever unpickled."""

import errno
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from service.datasets.parsing.array_writer import MAX_ARRAYS, store_arrays
from service.datasets.parsing.request import ParseRequest
from service.datasets.parsing.unpacking import copy_bounded, open_member, open_zip, refused_member, unpacked
from service.errors import InvalidInput, MalformedInput, Problem

Array = np.ndarray[Any, Any]

ONLY_ARRAY = "x"
FIX = "Save it with np.save or np.savez as an array of numbers (not of Python objects)."


def parse_npy(request: ParseRequest) -> dict[str, Any]:
    """Store a single array, whose name is ``x``. Raises InvalidInput or MalformedInput."""
    return store_arrays(request, {ONLY_ARRAY: _open(unpacked(request), ONLY_ARRAY)}, {ONLY_ARRAY: "file"})


def parse_npz(request: ParseRequest) -> dict[str, Any]:
    """Store all arrays of an archive by their names. Raises InvalidInput or MalformedInput."""
    arrays: dict[str, Array] = {}
    budget = request.budget()
    with open_zip(unpacked(request)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) > MAX_ARRAYS:
            problem = Problem("file", "There are too many arrays.", str(len(entries)), f"at most {MAX_ARRAYS}")
            raise InvalidInput("The NPZ file has too many arrays.", [problem])
        for number, entry in enumerate(entries):
            if not entry.filename.endswith(".npy"):
                raise refused_member(entry.filename, "it is no array.", "members that end with .npy", FIX)
            path = request.beside(f"member-{number}.npy")
            with open_member(archive, entry) as source, path.open("wb") as target:
                copy_bounded(source, target, budget)
            name = entry.filename.removesuffix(".npy")
            arrays[name] = _open(path, name)
    return store_arrays(request, arrays, dict.fromkeys(arrays, "file"))


def _open(path: Path, name: str) -> Array:
    """The array of a file, mapped. Raises MalformedInput when it is damaged, InvalidInput when it holds Python objects."""
    try:
        with np.errstate(over="raise"):  # a size that is too large for 64 bits would pass for a small one
            return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, TypeError, OSError, EOFError, SyntaxError, ArithmeticError, TokenError) as error:
        if getattr(error, "errno", None) == errno.ENOMEM:
            raise MemoryError from error
        if "object" in str(error).lower():
            problem = Problem("file", f"Array '{name[:80]}' holds Python objects.", "dtype object", "numbers", FIX)
            raise InvalidInput(f"Array '{name[:80]}' holds Python objects.", [problem]) from error
        message = f"Array '{name[:80]}' cannot be read: it is damaged, cut off or larger than its file."
        raise MalformedInput(message) from error
