"""Values to their places in a vocabulary."""

from itertools import repeat
from typing import Any

import numpy as np

from service.features.plan import CategoryColumn
from service.features.raw import Array


def category_places(column: CategoryColumn, values: list[Any]) -> list[int]:
    """Place of each value: 0 for missing and unseen ones. As in Python and JSON readers, 1, 1.0 and true are equal."""
    place_of = {label: place for place, label in enumerate(column.vocabulary, start=1)}
    return list(map(place_of.get, values, repeat(0)))


def write_category(column: CategoryColumn, values: Array, out: Array) -> None:
    """Fill ``out``, zeros of shape ``(rows, column.width)``."""
    places = category_places(column, values.tolist())
    if column.encoding == "index":
        out[:, 0] = places
    else:
        out[np.arange(len(places)), places] = 1.0
