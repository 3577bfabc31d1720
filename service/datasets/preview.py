"""Shows rows of stored arrays as nested lists. Knows no HTTP."""

from collections.abc import Iterable
from typing import Any

import numpy as np

MAX_PAGE_NUMBERS = 200_000
MAX_ROW_NUMBERS = 1_000_000


def read_examples(
    arrays: dict[str, np.ndarray[Any, Any]], described: Iterable[dict[str, Any]], start: int, count: int
) -> list[dict[str, Any]]:
    """Rows ``start`` to ``start + count`` as JSON-ready objects, fewer of them (but one) when they are large.

    ``described`` are the arrays as ``ArrayRead`` has them: where classes are named, a row shows the name.
    """
    stop = min(start + count, *(len(array) for array in arrays.values()))
    shown = {name: array for name, array in arrays.items() if array[:1].size <= MAX_ROW_NUMBERS}
    numbers = max(1, sum(array[:1].size for array in shown.values()))
    stop = min(stop, start + max(1, MAX_PAGE_NUMBERS // numbers))
    classes = {entry["name"]: entry["classes"] for entry in described if entry.get("classes")}
    return [
        {name: _cell(array, row, classes.get(name)) if name in shown else _shape(array) for name, array in arrays.items()}
        for row in range(start, stop)
    ]


def _cell(array: np.ndarray[Any, Any], row: int, classes: list[str] | None) -> Any:
    return array[row].tolist() if classes is None else classes[int(array[row])]


def _shape(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"shape": list(array.shape[1:]), "dtype": str(array.dtype)}
