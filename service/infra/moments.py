"""Statistics of numbers that come in parts."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]


class Moments:
    """Mean and deviation of numbers that come in parts (Chan, Golub and LeVeque 1979), and their extremes.

    They are numbers, of everything in arrays of any shape; with ``axis=0`` they are arrays, of each place in a row.
    """

    def __init__(self, axis: Literal[0] | None = None) -> None:
        self._axis = axis
        self.count = 0
        self.mean: Any = 0.0
        self.min: Any = np.inf
        self.max: Any = -np.inf
        self._squares: Any = 0.0

    def add(self, values: Array) -> None:
        """Count numbers of any type; where NaN is among them, the mean becomes NaN."""
        if not values.size:
            return
        added = values.size if self._axis is None else len(values)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.mean(values, axis=self._axis, dtype=np.float64)
            squares = np.square(values.astype(np.float64) - mean).sum(axis=self._axis)
            count = self.count + added
            shift = mean - self.mean
            self.mean = self.mean + shift * (added / count)
            self._squares = self._squares + squares + shift * (shift * (self.count * (added / count)))
            self.min = np.minimum(self.min, values.min(axis=self._axis))
            self.max = np.maximum(self.max, values.max(axis=self._axis))
        self.count = count

    def passing(self, blocks: Iterable[Array]) -> Iterator[Array]:
        """The same blocks, counted as they pass."""
        for block in blocks:
            self.add(block)
            yield block

    @property
    def std(self) -> Any:
        """Standard deviation of all values so far."""
        return np.sqrt(self._squares / self.count) if self.count else 0.0

    def describe(self) -> dict[str, float]:
        """``min``, ``max``, ``mean`` and ``std`` of everything."""
        return {"min": float(self.min), "max": float(self.max), "mean": float(self.mean), "std": float(self.std)}
