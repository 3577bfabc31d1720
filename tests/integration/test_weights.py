"""Which runs have weights, and what is said of those that have none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import Conflict, NotFound
from service.infra.artifacts import LocalArtifactStore
from service.infra.database import Database, now
from service.runs.tables import RunArtifact
from service.runs.weights import Wanted, read_weights
from service.spec.artifacts import WEIGHTS
from service.spec.weights import DOCUMENT, WEIGHTS_MEDIA_TYPE
from tests.factories import new_run

SUCCEEDED: dict[str, Any] = {"state": "succeeded", "queued_at": None, "finished_at": now()}
CANCELLED = SUCCEEDED | {"state": "cancelled", "cancel_requested_at": now()}
FAILED = SUCCEEDED | {"state": "failed", "failure": {"type": "not_finite", "message": "m", "hint": "h"}}
RUNNING = {"state": "running", "queued_at": None, "owner": "wrk_1", "lease_until": 1}


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(tmp_path / "store")


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({}, Conflict, "is queued"),
        (RUNNING, Conflict, "is running"),
        (FAILED, NotFound, r"has failed \(not_finite\)"),
        (CANCELLED | {"cancel_keep": "none"}, NotFound, "'keep' was 'none'"),
        (CANCELLED | {"cancel_keep": "best"}, NotFound, "cancelled before it had any"),
        (SUCCEEDED, NotFound, "no file 'weights.npz' was stored"),
    ],
)
def test_a_run_without_weights_says_why(database: Database, store: LocalArtifactStore, fields, kind, reason):
    with database.write() as session:
        run = new_run(session, **fields)
        session.flush()
        with pytest.raises(kind, match=reason):
            read_weights(session, store, run, Wanted(None, 10))


@pytest.mark.parametrize("fields", [SUCCEEDED, CANCELLED | {"cancel_keep": "last"}])
def test_weights_are_read_from_the_store_until_they_are_gone(database: Database, store: LocalArtifactStore, tmp_path, fields):
    np.savez(tmp_path / WEIGHTS, **{DOCUMENT: np.frombuffer(b'[{"name": "drop", "type": "Dropout", "weights": []}]', np.uint8)})
    sha256 = store.put_file(tmp_path / WEIGHTS)
    with database.write() as session:
        run = new_run(session, **fields)
        session.add(RunArtifact(run_id=run.id, name=WEIGHTS, sha256=sha256, size_bytes=1, media_type=WEIGHTS_MEDIA_TYPE))
        session.flush()
        assert [layer.name for layer in read_weights(session, store, run, Wanted(None, 10)).layers] == ["drop"]
        store.delete(sha256)
        with pytest.raises(NotFound, match="not in the artifact store any more"):
            read_weights(session, store, run, Wanted(None, 10))
