"""Reads one JSON document that holds a whole dataset: ``{"rows": …}``, ``{"x": …, "y": …}`` or ``{"arrays": {…}}``."""

from typing import Any

import numpy as np
import orjson

from service.datasets.parsing.array_writer import store_arrays
from service.datasets.parsing.json_rows import store_rows
from service.datasets.parsing.request import ParseRequest
from service.errors import InvalidInput, Problem
from service.features.raw import escape

EXPECTED = "numbers in nested lists of equal lengths, or one text per example"


def parse_document(request: ParseRequest) -> dict[str, Any]:
    """Store the dataset of a JSON body."""
    return store_document(request, orjson.loads(request.path.read_bytes()))


def is_document(value: Any) -> bool:
    """Whether a JSON value is a dataset, and not one row of one."""
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("arrays"), dict) or any(isinstance(value.get(name), list) for name in ("rows", "x"))


def store_document(request: ParseRequest, document: dict[str, Any]) -> dict[str, Any]:
    """Store the dataset that a document holds. Raises InvalidInput."""
    if document.get("rows") is not None:
        rows = document["rows"]
        return store_rows(request, lambda: ((f"/rows/{number}", row) for number, row in enumerate(rows)))
    if "arrays" in document:
        lists = {name: (f"/arrays/{escape(name)}", values) for name, values in document["arrays"].items()}
    else:
        lists = {name: (f"/{name}", document[name]) for name in ("x", "y") if document.get(name) is not None}
    arrays = {name: _array_from_lists(name, pointer, values) for name, (pointer, values) in lists.items()}
    return store_arrays(request, arrays, {name: pointer for name, (pointer, _) in lists.items()})


def _array_from_lists(name: str, pointer: str, values: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.array(values)
    except (ValueError, OverflowError) as error:
        problem = Problem(pointer, "The lists inside have different lengths.", expected=EXPECTED)
        raise InvalidInput(f"'{name[:80]}' is not an array.", [problem]) from error
    if array.dtype.kind == "U" and not all(isinstance(value, str) for value in values):
        problem = Problem(pointer, "It mixes texts and other values, or has texts in nested lists.", expected=EXPECTED)
        raise InvalidInput(f"'{name[:80]}' is not an array.", [problem])
    return array
