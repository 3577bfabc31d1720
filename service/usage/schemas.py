"""What goes over the wire for usage."""

from datetime import datetime

from pydantic import ConfigDict

from service.spec.base import Spec
from service.workspaces.quotas import QuotaName


class QuotaRead(Spec):
    """One quota, and how much of it is used."""

    name: QuotaName
    """Name of the quota, as refusals have it."""
    used: int | None
    """How much is used; `null` where it is not counted, since there is no limit."""
    limit: int | None
    """How much may be used; `null` means that there is no limit. Of requests it is the part of this process where several
    processes answer that share no Redis, and `used` is what this one has counted."""
    unit: str
    """What is counted."""
    window_seconds: int | None = None
    """How far back it is counted, in seconds; `null` means that only what is there now counts."""
    resets_at: datetime | None = None
    """When some of it can be used again by itself; `null` where that takes a delete or the end of a run, or nothing is used."""


class UsageRead(Spec):
    """What the workspace uses of each of its quotas."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "workspace": "default",
                    "quotas": [
                        {"name": "stored_bytes", "used": 1843200, "limit": 107374182400, "unit": "bytes"},
                        {"name": "queued_runs", "used": 2, "limit": 20000, "unit": "runs"},
                        {"name": "running_runs", "used": 1, "limit": 1000, "unit": "runs"},
                        {
                            "name": "epoch_rows",
                            "used": 7200,
                            "limit": None,
                            "unit": "epochs × rows",
                            "window_seconds": 86400,
                            "resets_at": "2026-11-25T09:30:00Z",
                        },
                        {
                            "name": "requests_per_minute",
                            "used": 14,
                            "limit": 600,
                            "unit": "requests",
                            "window_seconds": 60,
                            "resets_at": "2026-11-24T09:31:00Z",
                        },
                    ],
                }
            ]
        }
    )

    workspace: str
    """Name of the workspace."""
    quotas: list[QuotaRead]
    """Each quota of it."""
