"""What a workspace may use: the numbers of the settings, or numbers of its own. Knows no database and no HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from service.settings import Settings
from service.workspaces.errors import QuotaExceeded

QuotaName = Literal["stored_bytes", "queued_runs", "running_runs", "epoch_rows", "requests_per_minute"]


@dataclass(frozen=True)
class Quotas:
    """How much of each a workspace may use; 0 is no limit."""

    stored_bytes: int
    """Bytes of datasets, of the files of runs and versions, and of snapshots."""
    queued_runs: int
    """Runs that wait."""
    running_runs: int
    """Runs that are fitted; more of them wait."""
    epoch_rows: int
    """Epochs times rows of the fits that were accepted within a day."""
    requests_per_minute: int
    """Requests of the control plane and of all prediction protocols."""

    @classmethod
    def of(cls, settings: Settings) -> "Quotas":
        """What a workspace without numbers of its own may use."""
        return cls(**{field.name: getattr(settings, f"max_{field.name}") for field in fields(cls)})

    def with_own(self, own: Mapping[str, int]) -> "Quotas":
        """These, with a workspace's own numbers in their place."""
        return replace(self, **own)

    def limit_of(self, name: QuotaName) -> int:
        """The limit of this name."""
        limit: int = getattr(self, name)
        return limit

    def require(
        self, name: QuotaName, count_used: Callable[[], int], needed: int = 1, retry_after: Callable[[], int] | None = None
    ) -> None:
        """Raise QuotaExceeded where so much more would be too much; counts what is used only where that matters.

        ``retry_after`` tells in how many seconds that may be otherwise.
        """
        limit = self.limit_of(name)
        if not limit or not needed:
            return
        used = count_used()
        if used + needed > limit:
            raise QuotaExceeded(name, used, needed, limit, retry_after() if retry_after is not None else None)
