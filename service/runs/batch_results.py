"""Finds the file that a batch prediction leaves."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from service.infra.artifacts import ArtifactStore
from service.runs import repository
from service.runs.errors import ResultNotFound
from service.runs.results import find_result
from service.runs.tables import Run
from service.spec.artifacts import PREDICTIONS


@dataclass(frozen=True)
class BatchResult:
    """A local file with the answers to all rows."""

    path: Path
    name: str
    media_type: str
    sha256: str


def find(session: Session, store: ArtifactStore, run: Run) -> BatchResult:
    """The result. Raises ResultNotReady, or ResultNotFound where there is none or the run is of another kind."""
    if run.kind != "predict":
        reason = f"it is a run of kind '{run.kind}'; POST /api/batch-predictions starts one that has them"
        raise ResultNotFound(run.id, "predictions", reason)
    name = PREDICTIONS[run.fit["format"]]
    path = find_result(session, store, run, name, "predictions")
    artifact = repository.get_artifact(session, run.id, name)
    suffix = Path(name).suffix
    return BatchResult(path, f"{run.id}{suffix}", artifact.media_type, artifact.sha256)
