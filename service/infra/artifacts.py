"""The artifact store: files addressed by the SHA-256 of their content, in a folder or an object store.

A file is durable once ``put_file`` returns. Knows no nouns and no database.
"""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

import obstore
from obstore.store import ObjectStore, from_url

from service.settings import Settings

CHUNK_BYTES = 4 * 1024 * 1024


class ArtifactStore(Protocol):
    """Where files live."""

    def put_file(self, path: Path, move: bool = False) -> str:
        """Store a file's bytes and return their SHA-256 (64 hexadecimal digits). With ``move`` the file itself is gone then."""

    def delete(self, sha256: str) -> None:
        """Forget the bytes, if they are there."""

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises FileNotFoundError when they are not there."""

    def local_path(self, sha256: str) -> Path:
        """A local file with these bytes, to be read only. Raises FileNotFoundError when they are not there."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def object_key(sha256: str) -> str:
    """Where content lives below the store's root: ``sha256/ab/abcdef…``."""
    return f"sha256/{sha256[:2]}/{sha256}"


class LocalArtifactStore:
    """Files in a folder of this machine; obstore has a store for folders too, but does not fsync."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_file(self, path: Path, move: bool = False) -> str:
        """Copy to a temporary name, fsync, rename, fsync the folder: after a crash the file is whole or absent."""
        sha256 = sha256_of(path)
        target = self._folder / object_key(sha256)
        if target.exists():
            return sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".incoming-", delete=False) as copy:
            with path.open("rb") as source:
                while chunk := source.read(CHUNK_BYTES):
                    copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        Path(copy.name).replace(target)
        for folder in (target.parent, target.parent.parent):
            _fsync_folder(folder)
        if move:
            path.unlink()
        return sha256

    def delete(self, sha256: str) -> None:
        """Remove the file, if it is there."""
        (self._folder / object_key(sha256)).unlink(missing_ok=True)

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises FileNotFoundError when they are not there."""
        return self.local_path(sha256).read_bytes()

    def local_path(self, sha256: str) -> Path:
        """The stored file itself."""
        path = self._folder / object_key(sha256)
        if not path.exists():
            raise FileNotFoundError(f"Artifact {sha256} is not in the store.")
        return path


class ObjectArtifactStore:
    """Objects in S3, Google Cloud Storage or Azure, with a cache of whole files on this machine."""

    def __init__(self, store: ObjectStore, cache: Path) -> None:
        self._store = store
        self._cache = LocalArtifactStore(cache)

    def put_file(self, path: Path, move: bool = False) -> str:
        """Upload; an object store shows an object only when it is whole."""
        sha256 = sha256_of(path)
        obstore.put(self._store, object_key(sha256), path)
        if move:
            path.unlink()
        return sha256

    def delete(self, sha256: str) -> None:
        """Remove the object and its cached copy, if they are there."""
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, object_key(sha256))
        self._cache.delete(sha256)

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises FileNotFoundError when they are not there."""
        return bytes(obstore.get(self._store, object_key(sha256)).bytes())

    def local_path(self, sha256: str) -> Path:
        """The cached copy, downloaded first where it is missing."""
        try:
            return self._cache.local_path(sha256)
        except FileNotFoundError:
            self._download(sha256)
            return self._cache.local_path(sha256)

    def _download(self, sha256: str) -> None:
        with tempfile.NamedTemporaryFile(prefix="fitserve-") as file:
            for chunk in obstore.get(self._store, object_key(sha256)).stream(min_chunk_size=CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            if self._cache.put_file(Path(file.name)) != sha256:
                raise OSError(f"Artifact {sha256} came back from the object store with other bytes.")


def make_artifact_store(settings: Settings) -> ArtifactStore:
    """The configured store."""
    if not settings.artifacts_url:
        return LocalArtifactStore(settings.data_dir.absolute() / "artifacts")
    if settings.artifacts_url.startswith("file://"):
        return LocalArtifactStore(Path(settings.artifacts_url.removeprefix("file://")))
    return ObjectArtifactStore(from_url(settings.artifacts_url), settings.data_dir.absolute() / "cache")


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
