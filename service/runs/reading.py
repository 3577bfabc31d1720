"""Turns rows of runs into what clients read."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from service.runs import repository
from service.runs.schemas import FailureRead, ProgressRead, PublishRead, RunMetrics, RunRead
from service.runs.tables import Epoch, Run

COPIED_FIELDS = (
    "id", "kind", "state", "phase", "model", "revision", "target", "features", "fit", "seed", "priority", "timeout_seconds",
    "device", "attempt", "failures", "metrics", "cancel_requested_at", "version", "created_at", "started_at", "finished_at",
)  # fmt: skip


def read_run(session: Session, run: Run) -> RunRead:
    """The wire form of a run."""
    plan = run.plan or {}
    fields = {name: getattr(run, name) for name in COPIED_FIELDS}
    return RunRead(
        **fields,
        dataset=run.dataset_id,
        chosen_features=plan.get("features"),
        warnings=plan.get("warnings", []),
        tags=[tag.tag for tag in run.tags],
        progress=read_progress(run),
        queue_position=repository.queue_position(session, run),
        failure=FailureRead.model_validate(run.failure) if run.failure else None,
        publish=_read_publish(run),
    )


def read_progress(run: Run) -> ProgressRead:
    """How far a run is. The time left is estimated from the part done since the attempt began."""
    epochs = run.fit.get("epochs", 1)
    steps = (run.plan or {}).get("steps")
    done = max(run.epoch - 1, 0) + (run.step / steps if steps else 0)
    fraction = 1.0 if run.state == "succeeded" else min(done / epochs, 1.0)
    eta = None
    if run.state == "running" and run.started_at is not None and fraction > 0:
        elapsed = (datetime.now(UTC) - run.started_at).total_seconds()
        eta = round(elapsed * (1 - fraction) / fraction, 1)
    return ProgressRead(epoch=run.epoch, epochs=epochs, step=run.step, steps=steps, fraction=round(fraction, 4), eta_seconds=eta)


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
