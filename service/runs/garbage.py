"""Finds and deletes files that nothing refers to: of attempts that were killed, of deleted datasets, runs and versions."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.datasets import repository as datasets
from service.infra.artifacts import ArtifactStore, StoredObject
from service.infra.database import Database
from service.models import repository as models
from service.runs.sources import files_of
from service.runs.states import TERMINAL
from service.runs.tables import Run, RunArtifact

CHUNK_ROWS = 1000


@dataclass(frozen=True)
class Collected:
    """What was deleted, or would be."""

    files: int
    size_bytes: int


def collect_garbage(database: Database, artifacts: ArtifactStore, age_seconds: float, is_dry_run: bool = False) -> Collected:
    """Delete what is older and not referred to. Raises Unavailable when the database is away, and deletes nothing then.

    The candidates are listed first: what somebody stores or refers to afterwards is younger, or found in the database.
    """
    candidates = {found.sha256: found for found in artifacts.list_older_than(age_seconds)}
    if candidates:
        with database.read() as session:
            for sha256 in list_references(session):
                candidates.pop(sha256, None)
    deleted = [found for found in candidates.values() if is_dry_run or _delete(artifacts, found, age_seconds)]
    return Collected(len(deleted), sum(found.size_bytes for found in deleted))


def _delete(artifacts: ArtifactStore, found: StoredObject, age_seconds: float) -> bool:
    return artifacts.delete_if_older_than(found.sha256, age_seconds)


def list_references(session: Session) -> Iterator[str]:
    """SHA-256 of every file that a row refers to; some come more than once."""
    yield from datasets.list_files(session)
    yield from models.list_files(session)
    yield from session.scalars(select(RunArtifact.sha256).execution_options(yield_per=CHUNK_ROWS))
    active = select(Run.snapshots, Run.dataset_files, Run.sources).where(Run.state.not_in(TERMINAL))
    for snapshots, dataset_files, sources in session.execute(active.execution_options(yield_per=CHUNK_ROWS)):
        yield from (snapshot["sha256"] for snapshot in snapshots)
        yield from dataset_files.get("files", {}).values()
        yield from files_of(sources)
