"""The story of one batch prediction: take up what was done before, then read, encode, predict and write block by block."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from service.features.answers import to_columns
from service.features.blocks import encode_block
from service.features.encoding import columns_of
from service.features.notes import Notes
from service.features.plan import FeaturePlan, read_plan
from service.spec.artifacts import PREDICTIONS
from service.spec.frames import (
    Finished,
    LogLine,
    Phase,
    PhaseStarted,
    PredictJob,
    Progress,
    Resumed,
    RowsPlanned,
    SnapshotTaken,
    Suspended,
)
from service.training import outputs
from service.training.arrow import answer_as_arrow
from service.training.callbacks import PROGRESS_SECONDS, Report
from service.training.environment import difference, environment, inexact_by_nature
from service.training.parts import Part, PartWriter, usable_parts
from service.training.predictors import Array, Predictor, block_rows, load_model, make_predictor
from service.training.result_files import ResultFile, open_result
from service.training.stored_rows import Block, open_rows
from service.training.wishes import StopAsked, SuspendAsked, Wishes

PART_SHARE = 0.02
"""Part of what was done that a kill may cost, where that is longer than ``snapshot_seconds``: it bounds the number of parts."""


def predict(job: PredictJob, report: Report, wishes: Wishes) -> Finished | Suspended:
    """Predict every row of the job's dataset and leave the result in the job's directory.

    Half a result is none: whatever shall be kept, a stop ends it. Raises OSError, and whatever an engine raises.
    """
    is_unwanted = Wishes(stop=lambda: "none" if wishes.stop() is not None else None, suspend=wishes.suspend)
    try:
        return _Story(job, report, is_unwanted).tell()
    except SuspendAsked:
        return Suspended()
    except StopAsked:
        return Finished(outcome="stopped", metrics={}, files=[], publication=None, publish_reason=None)


class _Story:
    """One batch prediction from its beginning to its end."""

    def __init__(self, job: PredictJob, report: Report, wishes: Wishes) -> None:
        self._job = job
        self._report = report
        self._wishes = wishes
        self._plan = read_plan(job.plan)
        self._directory = Path(job.directory)

    def tell(self) -> Finished:
        """Do it. Raises SuspendAsked and StopAsked."""
        job, plan = self._job, self._plan
        self._begin("loading")
        model = load_model(Path(job.model), self._directory)
        predictor = make_predictor(model, Path(job.graph) if job.graph else None, plan)
        stored = open_rows(job.dataset)
        length = block_rows(model, plan, stored.row_bytes(job.columns))
        parts = usable_parts([Path(path) for path in job.parts])
        sink = _Sink(job, stored.rows, sum(part.rows for part in parts), self._report)
        self._begin("predicting")
        self._take_up(parts, sink)
        for block in stored.blocks(_inputs_of(plan), job.columns, length, sink.done):
            self._leave_if_asked(sink)
            sink.write(*answered(plan, block, predictor, job.columns))
        return self._finish(sink)

    def _begin(self, phase: Phase) -> None:
        self._report(PhaseStarted(phase=phase))

    def _take_up(self, parts: list[Part], sink: "_Sink") -> None:
        """Copy what earlier attempts have predicted into the result."""
        if self._job.attempt > 1:
            reason = next(filter(None, (difference(part.environment) for part in parts)), None)
            self._report(Resumed(from_epoch=0, from_step=sink.known, inexact_reason=reason))
        if len(parts) < len(self._job.parts):
            message = f"A part of what was predicted before cannot be used: the rows from {sink.known} on are predicted again."
            self._report(LogLine(level="warning", message=message))
        for part in parts:
            for batch, notes in part.batches():
                self._wishes.check(has_weights=False)
                sink.take_over(batch, notes)

    def _leave_if_asked(self, sink: "_Sink") -> None:
        try:
            self._wishes.check(has_weights=False)
        except SuspendAsked:
            sink.finish_part()
            raise

    def _finish(self, sink: "_Sink") -> Finished:
        self._wishes.check_kept()
        sink.finish()
        files = outputs.files(self._directory)
        return Finished(outcome="completed", metrics={}, files=files, publication=None, publish_reason=None)


class _Sink:
    """Where predicted rows go: into the result, and into the part that the next attempt would go on after."""

    def __init__(self, job: PredictJob, rows: int, known: int, report: Report) -> None:
        """``rows``: of the dataset; ``known``: of them, those that earlier attempts have predicted."""
        self._job = job
        self._rows = rows
        self.known = known
        self._report = report
        self.done = 0
        self._notes = Notes()
        self._environment = environment()
        self._result: ResultFile | None = None
        self._part: PartWriter | None = None
        self._began_at = self._part_began_at = time.monotonic()
        self._progress_due = 0.0
        self._tell_plan()

    def _tell_plan(self) -> None:
        reason = inexact_by_nature() if self._job.graph is None else None
        self._report(RowsPlanned(steps=self._rows, warnings=self._notes.sentences(), inexact_reason=reason))

    def take_over(self, batch: pa.RecordBatch, notes: Notes) -> None:
        """Add rows that an earlier attempt has predicted. Raises OSError."""
        if self._result is None:
            path = Path(self._job.directory, PREDICTIONS[self._job.format])
            self._result = open_result(path, batch.schema, self._job.format)
        self._result.write(batch)
        self._notes.add(notes)
        self.done += batch.num_rows
        self._tell_progress()

    def write(self, batch: pa.RecordBatch, notes: Notes) -> None:
        """Add rows. Raises OSError."""
        if self._part is None:
            path = Path(self._job.directory, f"part-{self.done}.arrow")
            self._part = PartWriter(path, batch.schema, self.done, self._environment)
        self._part.write(batch, notes)
        self.take_over(batch, notes)
        now = time.monotonic()
        if now - self._part_began_at >= max(self._job.snapshot_seconds, PART_SHARE * (now - self._began_at)):
            self.finish_part()

    def _tell_progress(self) -> None:
        now = time.monotonic()
        if now >= self._progress_due or self.done == self._rows:
            self._progress_due = now + PROGRESS_SECONDS
            self._report(Progress(epoch=1, step=max(self.done, self.known), metrics={}))

    def finish_part(self) -> None:
        """Let another attempt go on after the rows so far. Raises OSError."""
        if self._part is not None:
            began_at = time.monotonic()
            path, self._part, self._part_began_at = self._part.finish(), None, began_at
            seconds = time.monotonic() - began_at
            self._report(SnapshotTaken(path=str(path), epoch=0, step=self.done, seconds=seconds))

    def finish(self) -> None:
        """Make the result whole, and tell what was odd about its rows. Raises OSError."""
        assert self._result is not None, "a dataset has rows"
        self._result.finish()
        self._tell_plan()


def _inputs_of(plan: FeaturePlan) -> list[str]:
    """The columns or arrays that go into the model."""
    return [*(column.column for column in columns_of(plan)), *dict.fromkeys(entry.array for entry in plan.array_inputs)]


def answered(plan: FeaturePlan, block: Block, predictor: Predictor, carried: Sequence[str]) -> tuple[pa.RecordBatch, Notes]:
    """The rows of the result for a block: what is carried over, then the answers; and what was noted of them."""
    encoded = encode_block(plan, block.raw, block.start)
    answers = predictor(encoded.tensors)
    is_finite = np.all([np.isfinite(answer).reshape(len(answer), -1).all(axis=1) for answer in answers], axis=0)
    encoded.notes.add_rows("not_finite", "", block.start, encoded.is_usable & ~is_finite)
    is_known = encoded.is_usable & is_finite
    columns = to_columns(plan, [np.where(_as_wide(is_known, answer), answer, 0) for answer in answers])
    names = names_beside(carried, [column.name for column in columns])
    arrays = [*block.carried, *(answer_as_arrow(column, is_known) for column in columns)]
    return pa.RecordBatch.from_arrays(arrays, names=[*carried, *names]), encoded.notes


def _as_wide(is_known: Array, answer: Array) -> Array:
    return is_known.reshape(-1, *(1,) * (answer.ndim - 1))


def names_beside(carried: Sequence[str], answers: Sequence[str]) -> list[str]:
    """The names of answers; one that is taken already has ``predicted_`` before it."""
    taken, names = set(carried), []
    for name in answers:
        while name in taken:
            name = f"predicted_{name}"
        taken.add(name)
        names.append(name)
    return names
