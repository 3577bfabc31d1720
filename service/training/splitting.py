"""Decides which rows of a dataset are kept out of training."""

import math
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from service.errors import InvalidInput, Problem
from service.spec.fit import FitSpec

Array = np.ndarray[Any, Any]

STREAM = (0, 0, 1)
"""Sets the random numbers of the split apart from those of the epochs' orders."""


def split(fit: FitSpec, classes: Array | None, rows: int, seed: int) -> Array:
    """One boolean per row: whether it is kept out to validate with.

    ``classes``: the raw target ``(rows,)`` where it names classes, for a stratified split.
    Raises InvalidInput when a part is empty or cannot have all classes.
    """
    train_rows = split_at(rows, fit.validation_split)
    if fit.split == "last" or not fit.validation_split:
        return np.arange(rows) >= train_rows
    chosen = np.zeros(rows, dtype=bool)
    if fit.split == "random":
        chosen[np.random.default_rng([seed, *STREAM]).permutation(rows)[train_rows:]] = True
    else:
        chosen[_stratified(classes, rows - train_rows, seed)] = True
    return chosen


def split_at(rows: int, validation_split: float) -> int:
    """Number of training rows by Keras's rule: the validation rows are the last ones, before shuffling.

    Source: ``keras.src.trainers.data_adapters.array_slicing.train_validation_split``. Raises InvalidInput when a part is empty.
    """
    train_rows = math.floor(rows * (1.0 - validation_split))
    if train_rows == 0 or (validation_split > 0 and train_rows == rows):
        part, change = ("training", "smaller") if train_rows == 0 else ("validation", "larger")
        message = f"The dataset has {rows} rows. With validation_split={validation_split:g} no row is left for {part}."
        fix = f"Choose a {change} part, or add rows."
        raise InvalidInput(f"{message} {fix}", [Problem("/fit/validation_split", message, f"{validation_split:g}", fix=fix)])
    return train_rows


def _stratified(classes: Array | None, validation_rows: int, seed: int) -> Array:
    if classes is None:
        raise _unsplittable("A stratified split needs a target with classes, and this one holds numbers.", "Use split 'random'.")
    places = _places(classes)
    _check_parts(classes, places, validation_rows)
    random = np.random.RandomState(np.random.MT19937([seed, *STREAM]))
    _, chosen = train_test_split(np.arange(len(places)), test_size=validation_rows, stratify=places, random_state=random)
    rows: Array = chosen
    return rows


def _check_parts(classes: Array, places: Array, validation_rows: int) -> None:
    """Raise InvalidInput where a class cannot be in both parts."""
    counts = np.bincount(places)
    rare = np.flatnonzero(counts < 2)
    if len(rare):
        label = str(classes[np.flatnonzero(places == rare[0])[0]])[:80]
        message = f"The rows cannot be split by class: class '{label}' has a single row."
        raise _unsplittable(message, "Add rows of that class, leave it out, or use split 'random'.")
    smaller = min(validation_rows, len(places) - validation_rows)
    if smaller < len(counts):
        message = f"The rows cannot be split by class: a part of {smaller} rows does not hold all {len(counts)} classes."
        raise _unsplittable(message, "Choose another validation_split, or use split 'random'.")


def _unsplittable(message: str, fix: str) -> InvalidInput:
    return InvalidInput(f"{message} {fix}", [Problem("/fit/split", message, "stratified", fix=fix)])


def _places(classes: Array) -> Array:
    """A whole number for every value, since scikit-learn does not sort texts beside missing values."""
    place_of: dict[Any, int] = {}
    return np.array([place_of.setdefault(value, len(place_of)) for value in classes.tolist()])
