"""The whole state of a fit as one file, from which another process goes on bit for bit."""

import io
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np

from service.spec.frames import EpochEnded

Array = np.ndarray[Any, Any]

SHARE = 0.02
"""Part of a fit's time that snapshots may take together."""
EPOCHS_PER_INTERVAL = 30
"""At the ends of epochs a snapshot may come this many times sooner than in the midst of one."""
BYTES_PER_SECOND = 2e8
"""How fast a slow disk takes a snapshot: the estimate before the first one has been measured."""


@dataclass(frozen=True)
class Kept:
    """The state of one callback: plain numbers by the names of its attributes, and arrays."""

    values: dict[str, float | int | None] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)


@dataclass(frozen=True)
class Progressed:
    """What has happened so far."""

    history: list[EpochEnded] = field(default_factory=list)
    epoch_seconds: float = 0.0
    """How long the unfinished epoch has taken so far."""
    is_over: bool = False
    """Whether a callback has ended the fit."""


@dataclass(frozen=True)
class State:
    """Where a fit is: ``epoch`` epochs are done, and ``step`` steps of the next one."""

    epoch: int
    step: int
    progressed: Progressed
    variables: list[Array]
    metrics: list[Array]
    callbacks: list[Kept] = field(default_factory=list)
    """One for each callback that has a state, in their order."""


@dataclass(frozen=True)
class Origin:
    """Which fit a state is of, and what decided about its numbers so far."""

    run_id: str
    attempt: int
    seed: int
    environment: dict[str, str]
    request: dict[str, str] = field(default_factory=dict)
    """A hash of each part of the request that decides about the numbers, by its name in plain words."""
    inexact_reason: str | None = None
    """Why an attempt up to this one may have differed from an undisturbed fit."""


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    origin: Origin
    epoch: int
    step: int
    progressed: Progressed
    counts: dict[str, int]
    callbacks: list[dict[str, float | int | None]]


class UnreadableSnapshot(Exception):
    """The file is damaged, or it is not of this fit."""


VARIABLES, METRICS, CALLBACK = "variables", "metrics", "callback"


def write(path: Path, state: State, origin: Origin) -> None:
    """Write the state; the file appears whole under its name. Raises OSError."""
    groups = {VARIABLES: state.variables, METRICS: state.metrics}
    groups |= {f"{CALLBACK}.{place}": kept.arrays for place, kept in enumerate(state.callbacks)}
    document = _Document(
        origin=origin,
        epoch=state.epoch,
        step=state.step,
        progressed=state.progressed,
        counts={name: len(arrays) for name, arrays in groups.items()},
        callbacks=[kept.values for kept in state.callbacks],
    )
    entries: dict[str, Any] = {f"{name}.{number}": a for name, arrays in groups.items() for number, a in enumerate(arrays)}
    incomplete = path.with_suffix(".incomplete")
    try:
        with incomplete.open("wb") as file:
            np.savez(file, document=np.frombuffer(msgspec.msgpack.encode(document), np.uint8), **entries)
        os.replace(incomplete, path)
    finally:
        incomplete.unlink(missing_ok=True)


def read(path: Path) -> tuple[State, Origin]:
    """The state, and where it comes from. Raises UnreadableSnapshot."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            document = msgspec.msgpack.decode(file["document"].tobytes(), type=_Document)
            groups = {name: [file[f"{name}.{number}"] for number in range(count)] for name, count in document.counts.items()}
            callbacks = [Kept(values, groups[f"{CALLBACK}.{place}"]) for place, values in enumerate(document.callbacks)]
            variables, metrics = groups[VARIABLES], groups[METRICS]
    except Exception as error:  # at a damaged file zipfile and NumPy raise whatever they stumble over
        raise UnreadableSnapshot(f"A snapshot cannot be read: {type(error).__name__}.") from error
    return State(document.epoch, document.step, document.progressed, variables, metrics, callbacks), document.origin


def variables_of(model: keras.Model) -> list[Any]:
    """Everything that a fit changes but its metrics: weights, statistics, seed generators and the optimizer's state."""
    found = {id(variable): variable for variable in [*model.variables, *model.optimizer.variables]}
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for key, variable in found.items() if key not in metrics]


def size_of(model: keras.Model) -> int:
    """About how many bytes a snapshot of a compiled model takes."""
    return 4 * sum(int(math.prod(variable.shape)) for variable in variables_of(model))


def values_of(variables: list[Any]) -> list[Array]:
    """Copies of the variables' values."""
    return [variable.numpy().copy() for variable in variables]


def check_shapes(variables: list[Any], values: list[Array]) -> None:
    """Raise UnreadableSnapshot, with the first one that differs, when the values are of other variables."""
    if len(variables) != len(values):
        raise UnreadableSnapshot(f"A snapshot is of another model: it has {len(values)} variables instead of {len(variables)}.")
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            difference = f"'{variable.path}' has shape {tuple(variable.shape)} here and {value.shape} there"
            raise UnreadableSnapshot(f"A snapshot is of another model: {difference}.")


def assign(variables: list[Any], values: list[Array]) -> None:
    """Give variables their values back."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class Budget:
    """Decides when the next snapshot is due, so that all of them cost a fit no more than their share."""

    def __init__(self, interval_seconds: float, size_bytes: int) -> None:
        self._interval_seconds = interval_seconds
        self._began_at = self._last_at = time.monotonic()
        self._spent_seconds = 0.0
        self._expected_seconds = size_bytes / BYTES_PER_SECOND

    def is_due(self, at_epoch_end: bool) -> bool:
        """Whether to take one now."""
        now = time.monotonic()
        interval = self._interval_seconds / (EPOCHS_PER_INTERVAL if at_epoch_end else 1)
        is_affordable = self._spent_seconds + self._expected_seconds <= SHARE * (now - self._began_at)
        return now - self._last_at >= interval and is_affordable

    def note(self, seconds: float) -> None:
        """Note what a snapshot has cost."""
        self._spent_seconds += seconds
        self._expected_seconds = seconds
        self._last_at = time.monotonic()
