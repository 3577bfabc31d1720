"""Measures an engine when it is loaded: what a row costs, and whether rows of several requests should run together."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.serving.engine import Array, Engine

MANY_ROWS = 16
REPEATS = 5
MEASURE_SECONDS = 0.2
"""Time after which a slow engine has been measured enough."""
SHORTEST_SECONDS = 1e-8
JOINING_SECONDS = 30e-6
"""What it costs a request to run with others: waiting for its turn, joining and sharing out."""


@dataclass(frozen=True)
class Cost:
    """How long an engine takes."""

    first_seconds: float
    """For one row."""
    next_seconds: float
    """For each further row of the same call."""
    has_equal_rows: bool
    """Whether a row's outputs are the same beside others as alone; some layers look along the rows."""

    def seconds(self, rows: int) -> float:
        """For so many rows at once."""
        return self.first_seconds + (rows - 1) * self.next_seconds

    def rows_within(self, seconds: float) -> int:
        """How many rows take at most so long."""
        if self.first_seconds > seconds:
            return 0
        return 1 + int((seconds - self.first_seconds) / max(self.next_seconds, SHORTEST_SECONDS))

    @property
    def gains_from_batches(self) -> bool:
        """Whether rows of several requests should run together."""
        return self.has_equal_rows and self.first_seconds - self.seconds(MANY_ROWS) / MANY_ROWS > JOINING_SECONDS


Measure = Callable[[Engine, Mapping[str, Array], Sequence[str]], Cost]


def measure(engine: Engine, inputs: Mapping[str, Array], names: Sequence[str]) -> Cost:
    """Run an engine on real rows, which also warms it: alone and ``MANY_ROWS`` at once, made of ``inputs`` over and over."""
    many = {name: np.resize(tensor, (MANY_ROWS, *tensor.shape[1:])) for name, tensor in inputs.items()}
    alone, first = _time(engine, _row(many, 0), names)
    together, all_rows = _time(engine, many, names)
    last = engine.run(_row(many, MANY_ROWS - 1), names)  # a row may depend on those before it, or on those behind it
    has_equal_rows = _has_row(together, alone, 0) and _has_row(together, last, MANY_ROWS - 1)
    return Cost(first, max((all_rows - first) / (MANY_ROWS - 1), 0.0), has_equal_rows)


def _row(inputs: Mapping[str, Array], place: int) -> dict[str, Array]:
    return {name: tensor[place : place + 1] for name, tensor in inputs.items()}


def _has_row(together: list[Array], alone: list[Array], place: int) -> bool:
    """Whether the row at ``place`` has the outputs that it has alone."""
    return all(
        len(several) == MANY_ROWS and np.allclose(single[0], several[place], rtol=1e-3, atol=1e-4, equal_nan=True)
        for single, several in zip(alone, together, strict=True)
    )


def _time(engine: Engine, inputs: Mapping[str, Array], names: Sequence[str]) -> tuple[list[Array], float]:
    """The outputs, and the shortest time that they took: everything else on the machine only adds to it."""
    outputs = engine.run(inputs, names)  # the first run of an engine is slow
    began = time.perf_counter()
    shortest = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        engine.run(inputs, names)
        ended = time.perf_counter()
        shortest = min(shortest, ended - started)
        if ended - began > MEASURE_SECONDS:
            break
    return outputs, shortest
