"""Turns rows of runs into what clients read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from service.infra.cursors import Page, map_page
from service.runs import repository
from service.runs.queueing import Queue
from service.runs.result_schemas import LogPage, LogRead, RunMetrics
from service.runs.schemas import AttemptRead, ContinuesRead, FailureRead, ProgressRead, PublishRead, RunPage, RunRead
from service.runs.tables import Epoch, Run, RunAttempt, RunEvent
from service.settings import Settings

COPIED_FIELDS = (
    "id", "kind", "state", "phase", "model", "revision", "target", "features", "fit", "seed", "priority", "timeout_seconds",
    "device", "attempt", "failures", "metrics", "cancel_requested_at", "version", "created_at", "started_at", "finished_at",
    "inexact_reason",
)  # fmt: skip


def read_run(session: Session, settings: Settings, run: Run) -> RunRead:
    """The wire form of a run."""
    position = repository.queue_position(session, run) if run.state == "queued" else None
    queue = Queue(session, settings) if run.state == "queued" else None
    return _read(run, queue, position)


def read_page(session: Session, settings: Settings, page: Page[Run]) -> RunPage:
    """The wire form of a page of runs, with a number of queries that does not depend on their number."""
    waiting = [run.id for run in page.items if run.state == "queued"]
    positions = repository.queue_positions(session, waiting) if waiting else {}
    queue = Queue(session, settings) if waiting else None
    return RunPage(**map_page(page, lambda run: _read(run, queue, positions.get(run.id))))


def _read(run: Run, queue: Queue | None, position: int | None) -> RunRead:
    plan = run.plan or {}
    fields = {name: getattr(run, name) for name in COPIED_FIELDS}
    return RunRead(
        **fields,
        dataset=run.dataset_id,
        test_dataset=run.sources.get("test", {}).get("id"),
        continues=_read_start(run.sources.get("start")),
        evaluates=run.sources.get("evaluated", {}).get("version"),
        predicts_with=run.sources.get("predicted_by", {}).get("version"),
        chosen_features=plan.get("features"),
        warnings=plan.get("warnings", []),
        row_order=_read_order(plan),
        tags=[tag.tag for tag in run.tags],
        attempts=[_read_attempt(attempt) for attempt in run.attempts],
        progress=read_progress(run),
        queue_position=position,
        queued_seconds=_age_seconds(run.queued_at) if run.queued_at is not None else None,
        waiting_reason=queue.why_waiting(run) if queue is not None and run.state == "queued" else None,
        exact=run.inexact_reason is None,
        failure=FailureRead.model_validate(run.failure) if run.failure else None,
        publish=_read_publish(run),
    )


def _read_order(plan: dict[str, Any]) -> Literal["whole", "windows"] | None:
    if "chunk_rows" not in plan:
        return None
    return "windows" if plan["chunk_rows"] else "whole"


def _read_start(start: dict[str, Any] | None) -> ContinuesRead | None:
    return ContinuesRead(**{name: start[name] for name in ContinuesRead.model_fields}) if start else None


def _read_attempt(attempt: RunAttempt) -> AttemptRead:
    return AttemptRead(**{name: getattr(attempt, name) for name in AttemptRead.model_fields})


def _age_seconds(since: datetime) -> float:
    return round(max((datetime.now(UTC) - since).total_seconds(), 0.0), 1)


def read_progress(run: Run) -> ProgressRead:
    """How far a run is. The time left is estimated from what the present attempt has done so far."""
    epochs = run.fit.get("epochs", 1)
    steps = (run.plan or {}).get("steps")
    first = _first_epoch(run)
    done = max(run.epoch - 1 - first, 0) + (run.step / steps if steps else 0)
    fraction = 1.0 if run.state == "succeeded" else min(done / max(epochs - first, 1), 1.0)
    return ProgressRead(
        epoch=run.epoch,
        epochs=epochs,
        step=run.step,
        steps=steps,
        fraction=round(fraction, 4),
        eta_seconds=_estimate_rest(run, fraction, epochs),
    )


def _first_epoch(run: Run) -> int:
    """Epochs that count as done before the first attempt."""
    continued = run.attempts[0].from_epoch if run.attempts and "start" in run.sources else 0
    return int(max(continued, run.fit.get("initial_epoch", 0)))


def _estimate_rest(run: Run, fraction: float, epochs: int) -> float | None:
    if run.state != "running" or run.started_at is None or not run.attempts:
        return None
    first = _first_epoch(run)
    done_by_this_attempt = fraction - max(run.attempts[-1].from_epoch - first, 0) / max(epochs - first, 1)
    if done_by_this_attempt <= 0:
        return None
    seconds = _age_seconds(run.started_at) + (run.spent_seconds if run.kind == "predict" else 0)  # whose rows count as one epoch
    return round(seconds * (1 - fraction) / done_by_this_attempt, 1)


def read_logs(page: Page[RunEvent]) -> LogPage:
    """The wire form of a page of log lines."""
    return LogPage(**map_page(page, lambda event: LogRead(number=event.number, created_at=event.created_at, **event.data)))


def _read_publish(run: Run) -> PublishRead:
    if run.version is not None:
        return PublishRead(state="published", reason=None)
    if not run.wants_version:
        return PublishRead(state="skipped", reason="The request did not want a version.")
    if not run.is_terminal:
        return PublishRead(state="pending", reason=None)
    if run.state == "succeeded" or run.publish_reason:
        return PublishRead(state="failed", reason=run.publish_reason)
    return PublishRead(state="skipped", reason=f"The run was {run.state}.")


def read_metrics(epochs: Sequence[Epoch]) -> RunMetrics:
    """All epochs in columns."""
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch.metrics))
    return RunMetrics(
        epoch=[epoch.number for epoch in epochs],
        metrics={name: [epoch.metrics.get(name) for epoch in epochs] for name in names},
    )
