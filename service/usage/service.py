"""Says what a workspace uses of each quota. Knows no HTTP and no tables."""

from datetime import UTC, datetime
from typing import Any

from service.runs import volumes
from service.usage.repository import Use
from service.usage.schemas import QuotaRead, UsageRead
from service.workspaces.errors import QUOTA_WORDS
from service.workspaces.quotas import QuotaName
from service.workspaces.rates import WINDOW_SECONDS, Minute

VOLUME_WINDOW_SECONDS = int(volumes.WINDOW.total_seconds())


def describe(use: Use, minute: Minute | None) -> UsageRead:
    """The use of a workspace, quota by quota; ``minute`` is None where its requests are not counted."""
    quotas = [
        _quota(use, "stored_bytes", use.stored_bytes),
        _quota(use, "queued_runs", use.queued_runs),
        _quota(use, "running_runs", use.running_runs),
        _quota(use, "epoch_rows", use.epoch_rows, window_seconds=VOLUME_WINDOW_SECONDS, resets_at=use.epoch_rows_until),
        _requests(minute),
    ]
    return UsageRead(workspace=use.workspace, quotas=quotas)


def _quota(use: Use, name: QuotaName, used: int, **window: Any) -> QuotaRead:
    return QuotaRead(name=name, used=used, limit=use.limits.limit_of(name) or None, unit=QUOTA_WORDS[name].unit, **window)


def _requests(minute: Minute | None) -> QuotaRead:
    unit = QUOTA_WORDS["requests_per_minute"].unit
    if minute is None:
        return QuotaRead(name="requests_per_minute", used=None, limit=None, unit=unit, window_seconds=WINDOW_SECONDS)
    return QuotaRead(
        name="requests_per_minute",
        used=min(minute.count, minute.limit),
        limit=minute.limit,
        unit=unit,
        window_seconds=WINDOW_SECONDS,
        resets_at=datetime.fromtimestamp(minute.ends_at, UTC) if minute.count else None,
    )
