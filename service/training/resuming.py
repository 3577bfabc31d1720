"""Where a job goes on, and where it leaves its state for the next attempt: the snapshots of one job as files."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from service.infra.disk import is_full_disk
from service.spec.frames import FitJob, LogLine, Resumed, SnapshotTaken
from service.training.callbacks import Report
from service.training.environment import difference, environment
from service.training.snapshots import Origin, State, UnreadableSnapshot, read, write

Check = Callable[[State], None]
"""Raises UnreadableSnapshot when a fit cannot go on from the state."""


class JobSnapshots:
    """Finds the snapshot that a job goes on from, and writes its own, one after the other."""

    def __init__(self, job: FitJob, report: Report, steps_per_execution: int) -> None:
        self._job = job
        self._report = report
        self._origin = Origin(job.run_id, job.attempt, job.seed, steps_per_execution, environment())
        self._count = 0
        self._has_warned = False

    def find(self, check: Check) -> State | None:
        """The state that the job goes on from, which is reported where it is not the first attempt."""
        for path in self._job.resume:
            try:
                state, origin = self._read(Path(path), check)
            except UnreadableSnapshot as error:
                self._warn(f"{error} An earlier one is used, or the fit begins anew.")
            else:
                self._go_on_from(state, origin)
                return state
        if self._job.resume or self._job.attempt > 1:
            self._report(Resumed(from_epoch=0, from_step=0))
        return None

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
