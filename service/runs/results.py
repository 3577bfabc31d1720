"""Finds the files that a run leaves at its end, or says why there are none."""

from pathlib import Path

from sqlalchemy.orm import Session

from service.infra.artifacts import ArtifactStore
from service.runs.errors import ResultNotFound, ResultNotReady
from service.runs.tables import Run, RunArtifact


def find_result(session: Session, store: ArtifactStore, run: Run, name: str, noun: str) -> Path:
    """The local file ``name`` of a run; ``noun`` says in the plural what it holds. Raises ResultNotReady or ResultNotFound."""
    artifact = session.get(RunArtifact, (run.id, name))
    if artifact is None:
        if not run.is_terminal:
            raise ResultNotReady(run.id, noun, run.state)
        raise ResultNotFound(run.id, noun, _why_none(run, name))
    try:
        return store.local_path(artifact.sha256)
    except FileNotFoundError as error:
        raise ResultNotFound(run.id, noun, f"its file '{name}' is not in the artifact store any more") from error


def _why_none(run: Run, name: str) -> str:
    if run.state == "failed":
        return f"it has failed ({(run.failure or {}).get('type')})"
    if run.state == "cancelled":
        kept_nothing = "it was cancelled without keeping them: 'keep' was 'none'"
        return kept_nothing if run.cancel_keep == "none" else "it was cancelled before it had any"
    return f"no file '{name}' was stored with it"
