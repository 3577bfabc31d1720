"""What the database knows of a workspace's usage, put together from the nouns that are counted."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from service.runs import repository as runs
from service.runs import storage, volumes
from service.workspaces import repository as workspaces
from service.workspaces.quotas import Quotas


@dataclass(frozen=True)
class Use:
    """What a workspace uses at this moment, and what it may use."""

    workspace: str
    limits: Quotas
    stored_bytes: int
    queued_runs: int
    running_runs: int
    epoch_rows: int
    epoch_rows_until: datetime | None
    """When the oldest of them stops counting."""


def read_use(session: Session, workspace_id: str, defaults: Quotas) -> Use:
    """The use of one workspace; ``defaults`` are the quotas of those without numbers of their own."""
    workspace = workspaces.get_workspace(session, workspace_id)
    return Use(
        workspace.name,
        defaults.with_own(workspace.quotas),
        storage.count_bytes(session, workspace_id),
        runs.count_in_state(session, workspace_id, "queued"),
        runs.count_in_state(session, workspace_id, "running"),
        volumes.count(session, workspace_id),
        volumes.next_release(session, workspace_id),
    )
