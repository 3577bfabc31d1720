"""Turns weights of classes into weights of rows, as Keras does with ``class_weight``."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.answers import label_text
from service.features.plan import Target
from service.infra.npy import release_pages

Array = np.ndarray[Any, Any]

BLOCK_ROWS = 65_536


def class_weights(target: Target, y: Array, class_weight: Any) -> Array:
    """The weight of each class of the target, in order; ``y`` is the encoded target of the training rows.

    ``balanced`` is ``rows / (classes * rows of the class)`` over the classes that there are, as in
    ``sklearn.utils.class_weight``. Raises InvalidInput.
    """
    names = [label_text(label) for label in target.classes or []]
    if not names:
        message = "class_weight needs a target with classes, and this one holds numbers."
        fix = "Use sample_weight with a column of weights."
        raise InvalidInput(f"{message} {fix}", [Problem("/fit/class_weight", message, fix=fix)])
    if class_weight == "balanced":
        counts = sum(np.bincount(places, minlength=len(names)) for places in class_places(target, y))
        return np.array(len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1)))
    unknown = [name for name in class_weight if name not in names]
    if unknown:
        message = f"Target '{target.name}' has no class '{unknown[0][:80]}', which class_weight names."
        expected = f"some of: {', '.join(name[:80] for name in names[:20])}"
        raise InvalidInput(f"{message} Expected {expected}.", [Problem("/fit/class_weight", message, unknown[0][:80], expected)])
    return np.array([class_weight.get(name, 1.0) for name in names])


def class_places(target: Target, y: Array) -> Iterator[Array]:
    """The place of each row's class, a block of rows at a time."""
    for start in range(0, len(y), BLOCK_ROWS):
        block = y[start : start + BLOCK_ROWS]
        yield block.argmax(axis=1) if target.encoding == "one_hot" else block[:, 0].astype(np.int64)
        release_pages([y])


def describe(target: Target, weights: Array) -> str:
    """The weights in a few words."""
    return ", ".join(f"{label_text(label)}: {weight:.4g}" for label, weight in zip(target.classes or [], weights, strict=True))
