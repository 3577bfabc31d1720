"""Where a job goes on, and where it leaves its state for the next attempt: the snapshots of one job as files."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from service.errors import InvalidInput, Problem
from service.infra.disk import is_full_disk
from service.spec.fit import FitSpec
from service.spec.frames import DatasetFiles, FitJob, LogLine, Resumed, SnapshotTaken, Start
from service.training.callbacks import Report
from service.training.environment import difference, environment
from service.training.snapshots import Origin, Progressed, State, UnreadableSnapshot, read, write

Check = Callable[[State], None]
"""Raises UnreadableSnapshot when a fit cannot go on from the state."""

FIX = 'Continue a run of the same layers and optimizer, or use the weights alone: "take": "weights".'


class JobSnapshots:
    """Finds the snapshot that a job goes on from, and writes its own, one after the other."""

    def __init__(self, job: FitJob, report: Report) -> None:
        self._job = job
        self._report = report
        self._origin = Origin(job.run_id, job.attempt, job.seed, environment(), request_of(job))
        self._count = 0
        self._has_warned = False

    @property
    def origin(self) -> Origin:
        """What decides about the job's numbers."""
        return self._origin

    def find(self, check: Check) -> State | None:
        """The state that the job goes on from: the best snapshot, or where another run has ended; None begins anew.

        It is reported where there is one, and also where a later attempt begins anew. Raises InvalidInput where the job
        is to go on from another run and cannot.
        """
        for path in self._job.resume:
            try:
                state, origin = self._read(Path(path), check)
            except UnreadableSnapshot as error:
                self._warn(f"{error} An earlier one is used, or the fit begins anew.")
            else:
                self._go_on_from(state, origin)
                return state
        start = self._start(check)
        if start is None and (self._job.resume or self._job.attempt > 1):
            self._report(Resumed(from_epoch=0, from_step=0))
        return start

    def _start(self, check: Check) -> State | None:
        """Where another run has ended, if this one is to go on from there. Raises InvalidInput where it cannot."""
        start = self._job.start
        if start is None or start.take != "state":
            return None
        try:
            last, origin = _read_end(start)
            changed = changes(origin.request, self._origin.request)
            state = taken_up(last, is_same_fit=not changed)
            self._check_epochs(start, state)
            check(state)
        except UnreadableSnapshot as error:
            message = f"Run '{start.run_id}' cannot be continued: {error}"
            raise InvalidInput(message, [Problem("/continue_from", message, fix=FIX)]) from error
        reason = why_inexact(start.run_id, changed, last)
        self._go_on_from(state, replace(origin, inexact_reason=reason or origin.inexact_reason))
        return state

    def _check_epochs(self, start: Start, state: State) -> None:
        epochs = FitSpec.model_validate(self._job.fit).epochs
        if state.epoch >= epochs:
            message = f"Run '{start.run_id}' has ended with epoch {state.epoch}, which leaves nothing to do up to epoch {epochs}."
            fix = f"Set epochs to the epoch to end with, which is more than {state.epoch}."
            raise InvalidInput(message, [Problem("/fit/epochs", message, str(epochs), f"more than {state.epoch}", fix)])

    def save(self, state: State, began_at: float) -> None:
        """Write the state and tell of it; a full disk costs the snapshot, not the fit.

        ``began_at``: monotonic seconds when the taking of the state began. Raises OSError, but not for a full disk.
        """
        self._count += 1
        path = Path(self._job.directory, f"snapshot-{self._count}.npz")
        try:
            write(path, state, self._origin)
        except OSError as error:
            if not is_full_disk(error):
                raise
            self._warn_of_full_disk()
        else:
            seconds = time.monotonic() - began_at
            self._report(SnapshotTaken(path=str(path), epoch=state.epoch, step=state.step, seconds=seconds))

    def _read(self, path: Path, check: Check) -> tuple[State, Origin]:
        state, origin = read(path)
        if origin.seed != self._job.seed:
            raise UnreadableSnapshot("A snapshot is of a fit with another seed.")
        check(state)
        return state, origin

    def _go_on_from(self, state: State, origin: Origin) -> None:
        """What once was inexact stays so, however many attempts follow in the same environment."""
        reason = origin.inexact_reason or difference(origin.environment)
        self._origin = replace(self._origin, inexact_reason=reason)
        self._report(Resumed(from_epoch=state.epoch, from_step=state.step, inexact_reason=reason))

    def _warn_of_full_disk(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn("The disk of the worker is full, so the state of the fit cannot be saved. The fit goes on.")

    def _warn(self, message: str) -> None:
        self._report(LogLine(level="warning", message=message))


def request_of(job: FitJob) -> dict[str, str]:
    """A hash of each part of a job that decides about its numbers, by its name in plain words; not how long it goes on."""
    document = FitSpec.model_validate(job.fit).model_dump(mode="json")
    fit = {name: value for name, value in document.items() if name not in ("epochs", "initial_epoch", "validation_dataset")}
    others = {
        "definition": job.definition,
        "compile": job.compile,
        "dataset": _content(job.dataset),
        "validation dataset": _content(job.validation_dataset) if job.validation_dataset else None,
        "target": job.target,
        "features": job.features,
        "seed": job.seed,
    }
    return {name: _hash(value) for name, value in {**others, **fit}.items()}


def _content(dataset: DatasetFiles) -> list[Any]:
    return [dataset.sha256, dataset.classes]


def changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The names of the parts that are not the same."""
    return [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]


def taken_up(state: State, is_same_fit: bool) -> State:
    """The last state of a run as the first one of another.

    What its callbacks knew counts only for the same fit, and not where one of them has ended it: it would end the other one too.
    """
    callbacks = state.callbacks if is_same_fit and not state.progressed.is_over else []
    return replace(state, progressed=Progressed(), callbacks=callbacks)


def why_inexact(run_id: str, changed: list[str], last: State) -> str | None:
    """Why a run that goes on from the last state of another may differ from a longer one; ``changed``: parts of the request."""
    if changed:
        return f"It goes on where run '{run_id}' has ended, but with another {', '.join(changed)}."
    return f"It goes on where a callback has ended run '{run_id}'." if last.progressed.is_over else None


def _read_end(start: Start) -> tuple[State, Origin]:
    if start.state is None:
        raise UnreadableSnapshot("It has left no state to go on from.")
    return read(Path(start.state))


def _hash(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
