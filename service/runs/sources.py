"""What a run reads beside its dataset, as plain documents in its row.

``validation`` and ``test``: the ``id`` of a dataset, and its ``dataset_document``.
``start``: ``{"run", "version", "take", "files": {name: sha256}}`` of the run that it continues.
``evaluated``: ``{"run", "version", "files": {name: sha256}}`` of the version that it measures.
``predicted_by``: the same of the version that it predicts with.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from service.datasets.tables import Dataset
from service.errors import InvalidInput, Problem
from service.models import repository as models
from service.models.tables import Model, Revision, Version
from service.runs import repository
from service.runs.schemas import ContinueFrom, RunCreate
from service.runs.tables import Run
from service.spec.artifacts import MODEL, STATE

WEIGHTS_ONLY = 'Use the weights alone: "take": "weights".'


def files_of(sources: dict[str, Any]) -> Iterator[str]:
    """SHA-256 of every file that a run needs of its sources."""
    for source in sources.values():
        yield from source["files"].values()


def dataset_source(dataset: Dataset) -> dict[str, Any]:
    """A dataset to measure with."""
    return {"id": dataset.id, **dataset_document(dataset)}


def dataset_document(dataset: Dataset) -> dict[str, Any]:
    """``{"kind", "files": {name: sha256}, "classes": {array: names}}``"""
    classes = {array["name"]: array["classes"] for array in dataset.arrays if array.get("classes")}
    files = {name: file["sha256"] for name, file in dataset.files.items()}
    return {"kind": dataset.kind, "files": files, **({"classes": classes} if classes else {})}


def version_source(version: Version, names: tuple[str, ...]) -> dict[str, Any]:
    """Some files of a version."""
    files = {name: version.files[name]["sha256"] for name in names if name in version.files}
    return {"run": version.run_id, "version": version.number, "files": files}


def start_source(session: Session, model: Model, revision: Revision, request: RunCreate) -> dict[str, Any] | None:
    """What a request continues; None where it begins anew. Raises NotFound, or InvalidInput where it cannot be continued."""
    wish = request.continue_from
    if wish is None:
        return None
    source = _find(session, model, wish)
    if MODEL not in source["files"]:
        message = f"Run '{source['run']}' has left no weights."
        raise _refused("/continue_from", message, "Continue a run that has succeeded, or was cancelled with keep.")
    if wish.take == "weights":
        source["files"].pop(STATE, None)
        return {**source, "take": wish.take}
    _check_state(session, model, revision, request, source)
    return {**source, "take": wish.take}


def _find(session: Session, model: Model, wish: ContinueFrom) -> dict[str, Any]:
    if wish.version is not None:
        return version_source(models.get_version(session, model, wish.version), (MODEL, STATE))
    run = repository.get(session, model.workspace_id, wish.run or "")
    files = {file.name: file.sha256 for file in repository.list_artifacts(session, run.id) if file.name in (MODEL, STATE)}
    return {"run": run.id, "version": None, "files": files}


def _check_state(session: Session, model: Model, revision: Revision, request: RunCreate, source: dict[str, Any]) -> None:
    if STATE not in source["files"]:
        message = f"Run '{source['run']}' did not come to its end, so there is no state to go on from."
        raise _refused("/continue_from/take", message, WEIGHTS_ONLY)
    earlier = session.get(Run, source["run"])
    if earlier is None:
        return  # only its version is left; the trainer looks at the state itself
    if (earlier.definition, earlier.compile) != (revision.definition, revision.compile):
        message = f"Run '{earlier.id}' was fitted with another definition or other compile settings."
        raise _refused("/continue_from/take", message, WEIGHTS_ONLY)
    if request.fit.epochs <= earlier.epoch:
        message = f"Run '{earlier.id}' has done {earlier.epoch} epochs, and 'epochs' counts them."
        raise _refused("/fit/epochs", message, f"Ask for more than {earlier.epoch} epochs.")
    if request.fit.initial_epoch:
        message = f"It goes on after epoch {earlier.epoch}, where run '{earlier.id}' has ended."
        raise _refused("/fit/initial_epoch", message, "Leave initial_epoch out.")


def seed_of(session: Session, source: dict[str, Any] | None) -> int | None:
    """The seed that a run has to have to go on exactly where another one has ended."""
    earlier = _taken_up(session, source)
    return earlier.seed if earlier is not None else None


def epochs_before(session: Session, source: dict[str, Any] | None) -> int:
    """Epochs that a run need not do since another one has done them, as far as that is known."""
    earlier = _taken_up(session, source)
    return earlier.epoch if earlier is not None else 0


def _taken_up(session: Session, source: dict[str, Any] | None) -> Run | None:
    """The run whose state is gone on from."""
    return session.get(Run, source["run"]) if source is not None and source["take"] == "state" else None


def _refused(pointer: str, message: str, fix: str) -> InvalidInput:
    return InvalidInput(f"{message} {fix}", [Problem(pointer, message, fix=fix)])
