"""Files that nothing refers to are deleted when they are old, and no others."""

import os
from pathlib import Path

import pytest
from sqlalchemy import update

from service.datasets.tables import Dataset
from service.errors import Unavailable
from service.infra.artifacts import LocalArtifactStore, object_key
from service.infra.database import Database, make_engine
from service.models.tables import Model, Version
from service.runs.garbage import collect_garbage
from service.runs.tables import Run, RunArtifact
from service.settings import Settings
from service.workspaces.tables import DEFAULT_WORKSPACE_ID
from tests.factories import new_run

DAY = 24 * 3600.0


class Store(LocalArtifactStore):
    """A store whose files look old unless said otherwise."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder

    def add(self, content: str, is_old: bool = True) -> str:
        path = self.root.parent / "new"
        path.write_text(content)
        sha256 = self.put_file(path)
        if is_old:
            os.utime(self.root / object_key(sha256), (1, 1))
        return sha256

    def holds(self, sha256: str) -> bool:
        return (self.root / object_key(sha256)).exists()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def file(sha256: str) -> dict[str, object]:
    return {"sha256": sha256, "size_bytes": 1, "media_type": "text/plain"}


def refer_to_all(database: Database, store: Store) -> list[str]:
    """One row of each kind that refers to files; the files."""
    names = ("dataset", "version", "artifact", "snapshot", "data of a queued run")
    dataset, version, artifact, snapshot, data = hashes = [store.add(name) for name in names]
    with database.write() as session:
        common = {"workspace_id": DEFAULT_WORKSPACE_ID, "name": "thing"}
        session.add(
            Dataset(
                id="ds_1", kind="table", rows=1, size_bytes=1, files={"table": file(dataset)}, columns=[], arrays=[], **common
            )
        )
        session.add(Model(id="mdl_1", **common))
        session.flush()
        documents = {"metrics": {}, "parity": {}, "plan": {}, "inputs": [], "outputs": [], "example": {}, "parameters": 1}
        session.add(
            Version(
                model_id="mdl_1", number=1, run_id="run_1", revision=1, engine="onnx", files={"m": file(version)}, **documents
            )
        )
        run = new_run(session, snapshots=[file(snapshot)], dataset_files={"kind": "table", "files": {"table": data}})
        session.flush()
        session.add(RunArtifact(run_id=run.id, name="history.json", **file(artifact)))
    return hashes


def test_only_old_files_without_a_reference_are_deleted(database: Database, store: Store) -> None:
    referred = refer_to_all(database, store)
    orphan, young = store.add("orphan"), store.add("young", is_old=False)
    assert collect_garbage(database, store, DAY, is_dry_run=True).files == 1
    assert store.holds(orphan)
    collected = collect_garbage(database, store, DAY)
    assert (collected.files, collected.size_bytes) == (1, len("orphan"))
    assert [store.holds(sha256) for sha256 in (orphan, young, *referred)] == [False, True, *[True] * 5]


def test_what_only_an_ended_run_needed_is_deleted(database: Database, store: Store) -> None:
    *others, snapshot, data = refer_to_all(database, store)
    with database.write() as session:
        ended = {"state": "cancelled", "queued_at": None, "finished_at": Run.created_at}
        session.execute(update(Run).values(**ended, cancel_requested_at=Run.created_at))
    assert collect_garbage(database, store, DAY).files == 2
    assert not store.holds(snapshot)
    assert not store.holds(data)
    assert all(store.holds(sha256) for sha256 in others)


def test_without_a_database_nothing_is_deleted(store: Store, tmp_path: Path) -> None:
    orphan = store.add("orphan")
    away = Database(make_engine(Settings(data_dir=tmp_path / "nowhere", database_url="postgresql+psycopg://x@127.0.0.1:1/x")))
    with pytest.raises(Unavailable):
        collect_garbage(away, store, DAY)
    assert store.holds(orphan)
