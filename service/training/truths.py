"""What can be said of the encoded targets of a fit, a bounded number of rows at a time; and what each output shall learn."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from service.features.plan import Target
from service.infra.npy import release_pages
from service.spec.compile import LossBase, MetricBase
from service.spec.endings import Ending
from service.training.examples import Array

BLOCK_ROWS = 65_536
KERAS_EPSILON = 1e-7
"""What Keras takes for 0 where it divides."""
SUM_TOLERANCE = 1e-3
"""How far shares may be from 1 altogether: float32 rounds them."""


class Output(NamedTuple):
    """What an output shall learn, and what it is measured by."""

    target: Target
    truths: tuple[Array, ...]
    """The encoded truth of the training rows, and that of the validation rows where there are any."""
    loss: LossBase
    loss_pointer: str
    metrics: list[tuple[str, MetricBase]]
    """Each with its place in the document."""
    ending: Ending | None
    """What its numbers are like, where that is known."""

    @property
    def truth(self) -> Array:
        """The encoded truth of the training rows."""
        return self.truths[0]

    @property
    def has_numbers(self) -> bool:
        """Whether its answers are numbers, and no classes or labels."""
        return self.target.classes is None and self.target.labels is None

    @property
    def units(self) -> int:
        """How many numbers each answer has along its last axis."""
        is_place = self.target.encoding == "index" and self.target.classes is not None
        return len(self.target.classes or ()) if is_place else int(self.truth.shape[-1])


class Claim(NamedTuple):
    """Something that may be true of a target's numbers."""

    words: str
    """What the numbers are then."""
    holds: Callable[[Array], Any]
    """Whether it is true of some rows."""


def _are_bits(y: Array) -> Any:
    return ((y == 0) | (y == 1)).all()


def _within(y: Array) -> Any:
    return ((y >= 0) & (y <= 1)).all()


CLAIMS: dict[str, Claim] = {
    "bits": Claim("zeros and ones", _are_bits),
    "rows of bits": Claim("rows of zeros and ones", lambda y: y.shape[-1] > 1 and _are_bits(y)),
    "one-hot rows": Claim("rows with a single 1", lambda y: y.shape[-1] > 1 and _are_bits(y) and (y.sum(axis=-1) == 1).all()),
    "single bits": Claim("a single 0 or 1", lambda y: y.shape[-1] == 1 and _are_bits(y)),
    "shares": Claim(
        "rows of shares that add up to 1",
        lambda y: y.shape[-1] > 1 and _within(y) and (abs(y.sum(axis=-1) - 1) <= SUM_TOLERANCE).all(),
    ),
    "shares or less": Claim(
        "rows of shares that add up to 1, or to less",
        lambda y: y.shape[-1] > 1 and _within(y) and (y.sum(axis=-1) <= 1 + SUM_TOLERANCE).all(),
    ),
    "parts": Claim("numbers from 0 to 1", _within),
    "signs": Claim("-1 and 1", lambda y: (abs(y) == 1).all()),
    "never negative": Claim("numbers from 0 on", lambda y: y.min() >= 0),
    "never 0": Claim("numbers other than 0", lambda y: abs(y).min() >= KERAS_EPSILON),
    "rows": Claim("rows of several numbers", lambda y: y.shape[-1] > 1),
    "uneven rows": Claim("rows of several numbers that differ", lambda y: (y.max(axis=-1) > y.min(axis=-1)).all()),
}
"""What can be true of numbers ``(rows, …)``, by a short name."""


def is_true(claim: str, truth: Array) -> bool:
    """Whether a claim is true of all rows."""
    return all(CLAIMS[claim].holds(block) for block in blocks(truth))


def extremes(values: Array) -> tuple[float, float]:
    """The least and the greatest number."""
    found = [(float(block.min()), float(block.max())) for block in blocks(values)]
    return min(low for low, _ in found), max(high for _, high in found)


def are_whole(values: Array) -> bool:
    """Whether all are whole numbers."""
    return all((block == np.floor(block)).all() for block in blocks(values))


def blocks(values: Array) -> Iterator[Array]:
    """A bounded number of rows at a time, of which nothing stays in memory."""
    for start in range(0, len(values), BLOCK_ROWS):
        yield values[start : start + BLOCK_ROWS]
        release_pages([values])
