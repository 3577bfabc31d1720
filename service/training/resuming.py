"""Where a job goes on, and where it leaves its state for the next attempt: the snapshots of one job as files."""

import time
from pathlib import Path

import keras

from service.infra.disk import is_full_disk
from service.spec.frames import FitJob, LogLine, Resumed, SnapshotTaken
from service.training.callbacks import Report
from service.training.environment import difference, environment
from service.training.snapshots import State, UnreadableSnapshot, read, variables_of, write


def find_state(job: FitJob, model: keras.Model, report: Report) -> State | None:
    """The state that the job goes on from, which is reported where it is not the first attempt."""
    for path in job.resume:
        try:
            state, before = read(Path(path))
            _check_fits(state, model)
        except UnreadableSnapshot as error:
            report(LogLine(level="warning", message=f"{error} An earlier one is used, or the fit begins anew."))
        else:
            report(Resumed(from_epoch=state.epoch, from_step=state.step, inexact_reason=difference(before)))
            return state
    if job.resume or job.attempt > 1:
        report(Resumed(from_epoch=0, from_step=0))
    return None


def _check_fits(state: State, model: keras.Model) -> None:
    """Raise UnreadableSnapshot when the state is of another model."""
    shapes = [tuple(variable.shape) for variable in variables_of(model)]
    if shapes != [value.shape for value in state.variables]:
        raise UnreadableSnapshot("A snapshot is of another model.")


class Saver:
    """Writes one snapshot after the other; a full disk costs the snapshot, not the fit."""

    def __init__(self, job: FitJob, report: Report) -> None:
        self._job = job
        self._report = report
        self._environment = environment()
        self._count = 0
        self._has_warned = False

    def __call__(self, state: State) -> None:
        """Save the state and tell of it. Raises OSError, but not for a full disk."""
        began = time.monotonic()
        self._count += 1
        path = Path(self._job.directory, f"snapshot-{self._count}.npz")
        try:
            write(path, state, self._job.run_id, self._job.attempt, self._environment)
        except OSError as error:
            if not is_full_disk(error):
                raise
            self._warn()
        else:
            seconds = time.monotonic() - began
            self._report(SnapshotTaken(path=str(path), epoch=state.epoch, step=state.step, seconds=seconds))

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            message = "The disk of the worker is full, so the state of the fit cannot be saved. The fit goes on."
            self._report(LogLine(level="warning", message=message))
