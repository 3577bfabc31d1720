"""How many bytes a workspace keeps: its datasets, the files of its runs and versions, and snapshots to go on from.

A file that several of them share counts for each, as it would if they were not there together.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.datasets import repository as datasets
from service.models.tables import Model, Version
from service.runs.tables import Run


def count_bytes(session: Session, workspace_id: str) -> int:
    """Bytes of everything that the workspace keeps."""
    return (
        datasets.count_bytes(session, workspace_id)
        + _count_of_runs(session, workspace_id)
        + _count_of_left_versions(session, workspace_id)
    )


def _count_of_runs(session: Session, workspace_id: str) -> int:
    query = select(func.sum(Run.stored_bytes)).where(Run.workspace_id == workspace_id, Run.stored_bytes > 0)
    return int(session.scalar(query) or 0)


def _count_of_left_versions(session: Session, workspace_id: str) -> int:
    """Of versions whose run is deleted; the others have the very files of their runs."""
    has_run = select(Run.id).where(Run.id == Version.run_id).exists()
    query = select(Version.files).join(Model, Model.id == Version.model_id).where(Model.workspace_id == workspace_id, ~has_run)
    return sum(file["size_bytes"] for files in session.scalars(query) for file in files.values())
