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
    Raises InvalidInput when a part is empty.
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
        part = "training" if train_rows == 0 else "validation"
        message = f"The dataset has {rows} rows. With validation_split={validation_split:g} no row is left for {part}."
        raise InvalidInput(
            message,
            [Problem("/fit/validation_split", message, f"{validation_split:g}", fix="Choose another part, or add rows.")],
        )
    return train_rows


def _stratified(classes: Array | None, validation_rows: int, seed: int) -> Array:
    if classes is None:
        message = "A stratified split needs a target with classes, and this one holds numbers."
        raise InvalidInput(message, [Problem("/fit/split", message, "stratified", "last or random", "Use split 'random'.")])
    try:
        _, chosen = train_test_split(
            np.arange(len(classes)), test_size=validation_rows, stratify=_places(classes), random_state=seed
        )
    except ValueError as error:
        message = f"The rows cannot be split by class: {error}"
        fix = "Choose a larger validation_split, split 'random', or leave out classes with a single row."
        raise InvalidInput(message, [Problem("/fit/split", message, "stratified", fix=fix)]) from error
    places: Array = chosen
    return places


def _places(classes: Array) -> Array:
    """A whole number for every value, since scikit-learn does not sort texts beside missing values."""
    place_of: dict[Any, int] = {}
    return np.array([place_of.setdefault(value, len(place_of)) for value in classes.reshape(len(classes), -1)[:, 0].tolist()])
