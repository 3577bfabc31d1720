import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from service.infra.artifacts import ArtifactStore, LocalArtifactStore, ObjectArtifactStore, object_key, sha256_of


@pytest.fixture(params=["folder", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "folder":
        return LocalArtifactStore(tmp_path / "artifacts")
    return ObjectArtifactStore(MemoryStore(), tmp_path / "cache")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(b"weights" * 1000)
    return path


def test_what_was_put_is_read_by_its_hash(store: ArtifactStore, file: Path) -> None:
    sha256 = store.put_file(file)

    assert sha256 == sha256_of(file)
    assert store.read(sha256) == file.read_bytes()
    assert store.local_path(sha256).read_bytes() == file.read_bytes()


def test_the_same_content_is_stored_once(store: ArtifactStore, file: Path) -> None:
    assert store.put_file(file) == store.put_file(file)


def test_content_that_is_not_there_is_a_file_not_found(store: ArtifactStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("0" * 64)
    with pytest.raises(FileNotFoundError):
        store.local_path("0" * 64)


def test_nothing_half_written_stays_beside_a_stored_file(tmp_path: Path, file: Path) -> None:
    sha256 = LocalArtifactStore(tmp_path / "artifacts").put_file(file)

    stored = tmp_path / "artifacts" / object_key(sha256)
    assert [path.name for path in stored.parent.iterdir()] == [sha256]


def test_a_moved_file_is_gone_and_its_content_is_stored(store: ArtifactStore, file: Path) -> None:
    content = file.read_bytes()
    sha256 = store.put_file(file, move=True)
    assert not file.exists()
    assert store.read(sha256) == content


def test_a_file_that_is_there_already_can_be_moved_in_again(store: ArtifactStore, file: Path) -> None:
    sha256 = store.put_file(file)
    assert store.put_file(file, move=True) == sha256
    assert not file.exists()


def test_what_was_deleted_is_gone_and_may_be_deleted_again(store: ArtifactStore, file: Path) -> None:
    sha256 = store.put_file(file)
    store.delete(sha256)
    store.delete(sha256)
    with pytest.raises(FileNotFoundError):
        store.read(sha256)


def test_what_is_stored_again_is_young_again(store: ArtifactStore, file: Path) -> None:
    sha256 = store.put_file(file)
    time.sleep(1.1)
    assert [found.sha256 for found in store.list_older_than(1)] == [sha256]
    store.put_file(file)
    assert list(store.list_older_than(1)) == []
    assert not store.delete_if_older_than(sha256, 1)
    assert store.delete_if_older_than(sha256, 0)
    assert not store.delete_if_older_than(sha256, 0)


def test_collection_never_takes_what_is_being_stored_again(tmp_path: Path, file: Path) -> None:
    store = LocalArtifactStore(tmp_path / "artifacts")
    is_over = threading.Event()

    def collect_for_ever() -> None:
        sha256 = sha256_of(file)
        stored = tmp_path / "artifacts" / object_key(sha256)
        while not is_over.is_set():
            with suppress(FileNotFoundError):
                os.utime(stored, (1, 1))  # as if it had been there for years
            store.delete_if_older_than(sha256, 3600)

    collector = threading.Thread(target=collect_for_ever)
    collector.start()
    try:
        for _ in range(200):
            with store.collection_kept_out():
                assert store.read(store.put_file(file)) == file.read_bytes()
    finally:
        is_over.set()
        collector.join()


def test_what_a_killed_process_has_half_stored_is_removed_by_age(tmp_path: Path, file: Path) -> None:
    store = LocalArtifactStore(tmp_path / "artifacts")
    stored = tmp_path / "artifacts" / object_key(store.put_file(file))
    half = stored.parent / ".incoming-x"
    half.write_bytes(b"half")
    os.utime(half, (1, 1))
    list(store.list_older_than(3600))
    assert not half.exists()
    assert stored.exists()
