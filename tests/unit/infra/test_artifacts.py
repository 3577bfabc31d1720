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
