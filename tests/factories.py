"""Makes rows for tests; a test names only what matters to it, the rest is filled in."""

from typing import Any

from sqlalchemy.orm import Session

from service.infra.database import Database, now
from service.infra.ids import new_id
from service.runs.tables import Run
from service.workspaces import service
from service.workspaces.schemas import KeyCreate
from service.workspaces.tables import DEFAULT_WORKSPACE_ID


def new_run(session: Session, **fields: Any) -> Run:
    """A queued run, added to the session."""
    values: dict[str, Any] = {
        "id": new_id("run"),
        "workspace_id": DEFAULT_WORKSPACE_ID,
        "kind": "fit",
        "state": "queued",
        "phase": "waiting",
        "queued_at": now(),
        "model": "digits",
        "revision": 1,
        "definition": {"layers": [{"type": "Dense", "units": 1}]},
        "compile": {"optimizer": {"type": "SGD"}, "loss": {"type": "MeanSquaredError"}},
        "dataset_id": "ds_1",
        "dataset_files": {"kind": "table", "files": {"table": "0" * 64}},
        "target": "y",
        "features": {},
        "fit": {"epochs": 3},
        "seed": 1,
        "priority": 0,
        "tags": [],
        "device": "any",
        "wants_version": True,
        "attempt": 0,
        "failures": 0,
        "not_before": 0,
        "last_event": 0,
    }
    run = Run(**(values | fields))
    session.add(run)
    return run


def queue_run(database: Database, **fields: Any) -> str:
    """Commit a queued run; its id."""
    with database.write() as session:
        return new_run(session, **fields).id


def make_key(database: Database, workspace: str, *scopes: str) -> str:
    """Commit a key of the workspace of this name, with these scopes or all; the key."""
    request = KeyCreate.model_validate({"name": "test", "scopes": list(scopes) or ["admin"]})
    with database.write() as session:
        return service.create(session, service.workspace_named(session, workspace).id, request).key


def bearer(key: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key}"}
