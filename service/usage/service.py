"""Says what a workspace uses of each quota. Knows no HTTP and no tables."""

from typing import Any

from service.runs import volumes
from service.usage.repository import Use
from service.usage.schemas import QuotaRead, UsageRead
from service.workspaces.errors import QUOTA_WORDS
from service.workspaces.quotas import QuotaName

VOLUME_WINDOW_SECONDS = int(volumes.WINDOW.total_seconds())


def describe(use: Use) -> UsageRead:
    """The use of a workspace, quota by quota."""
    quotas = [
        _quota(use, "stored_bytes", use.stored_bytes),
        _quota(use, "queued_runs", use.queued_runs),
        _quota(use, "running_runs", use.running_runs),
        _quota(use, "epoch_rows", use.epoch_rows, window_seconds=VOLUME_WINDOW_SECONDS, resets_at=use.epoch_rows_until),
    ]
    return UsageRead(workspace=use.workspace, quotas=quotas)


def _quota(use: Use, name: QuotaName, used: int, **window: Any) -> QuotaRead:
    return QuotaRead(name=name, used=used, limit=use.limits.limit_of(name) or None, unit=QUOTA_WORDS[name].unit, **window)
