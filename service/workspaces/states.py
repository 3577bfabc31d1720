"""What a key may allow, and who asks with it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.workspaces.errors import MissingScope

KeyScope = Literal["read", "train", "predict", "admin"]
"""``read``: every GET under ``/api``; ``train``: everything else there; ``predict``: predictions in every protocol; ``admin``:
the keys of the workspace, and all of the others."""


@dataclass(frozen=True)
class Caller:
    """Who asks: a workspace, and what may be done in it."""

    workspace_id: str
    scopes: frozenset[str]
    key_id: str | None = None
    """None where no key is needed."""
    expires_at: datetime | None = None
    is_use_due: bool = False
    """Whether the time of the key's last use is old enough to be written anew."""
    requests_per_minute: int = 0
    """How many requests its workspace may send; 0 is no limit."""

    def require(self, scope: KeyScope) -> None:
        """Raises MissingScope unless this is allowed."""
        if scope not in self.scopes and "admin" not in self.scopes:
            raise MissingScope(scope)
