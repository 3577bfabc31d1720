"""The artifact store: files addressed by the SHA-256 of their content, in a folder or an object store.

A file is durable once ``put_file`` returns. Knows no nouns and no database.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.store import ObjectStore, from_url

from service.settings import Settings

if TYPE_CHECKING:
    from obstore import ObjectMeta  # obstore has this name for type checkers only

CHUNK_BYTES = 4 * 1024 * 1024
INCOMING = ".incoming-"


@dataclass(frozen=True)
class StoredObject:
    """A file in a store."""

    sha256: str
    size_bytes: int
    age_seconds: float
    """Since it was last stored."""


class ArtifactStore(Protocol):
    """Where files live."""

    def put_file(self, path: Path, move: bool = False) -> str:
        """Store a file's bytes and return their SHA-256 (64 hexadecimal digits). With ``move`` the file itself is gone then."""

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises FileNotFoundError when they are not there."""

    def local_path(self, sha256: str) -> Path:
        """A local file with these bytes, to be read only. Raises FileNotFoundError when they are not there."""

    def delete(self, sha256: str) -> None:
        """Forget the bytes, if they are there."""

    def list_older_than(self, age_seconds: float) -> Iterator[StoredObject]:
        """What has not been stored, nor stored again, for so long."""

    def delete_if_older_than(self, sha256: str, age_seconds: float) -> bool:
        """Forget the bytes unless somebody has stored them again in the meantime; whether they are gone."""


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
        """Fsync under a temporary name, rename, fsync the folder: after a crash the file is whole or absent."""
        sha256 = sha256_of(path)
        target = self._folder / object_key(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.collection_kept_out():
            if target.exists():
                os.utime(target)  # it is as good as new for garbage collection
            else:
                self._bring_in(path, target, move)
        if move:
            path.unlink(missing_ok=True)
        return sha256

    def _bring_in(self, path: Path, target: Path, move: bool) -> None:
        is_movable = move and path.stat().st_dev == target.parent.stat().st_dev
        incoming = path if is_movable else _copy(path, target.parent)
        fsync(incoming)
        os.utime(incoming)
        incoming.replace(target)
        for folder in (target.parent, target.parent.parent):
            fsync(folder)

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises FileNotFoundError when they are not there."""
        return self.local_path(sha256).read_bytes()

    def local_path(self, sha256: str) -> Path:
        """The stored file itself."""
        path = self._folder / object_key(sha256)
        if not path.exists():
            raise FileNotFoundError(f"Artifact {sha256} is not in the store.")
        return path

    def delete(self, sha256: str) -> None:
        """Remove the file, if it is there."""
        (self._folder / object_key(sha256)).unlink(missing_ok=True)

    def list_older_than(self, age_seconds: float) -> Iterator[StoredObject]:
        """Old files; those whose storing was cut off by a kill are removed on the way."""
        for path in self._folder.glob("sha256/??/*"):
            age = _age_seconds(path)
            if age is None or age < age_seconds:
                continue
            if path.name.startswith(INCOMING):
                path.unlink(missing_ok=True)
            else:
                yield StoredObject(path.name, path.stat().st_size, age)

    def delete_if_older_than(self, sha256: str, age_seconds: float) -> bool:
        """Look at the age once more while nobody stores anything, and remove the file."""
        path = self._folder / object_key(sha256)
        with self._locked(fcntl.LOCK_EX):
            age = _age_seconds(path)
            is_old = age is not None and age >= age_seconds
            if is_old:
                path.unlink(missing_ok=True)
            return is_old

    def collection_kept_out(self) -> AbstractContextManager[None]:
        """A block during which garbage collection, in whatever process, removes nothing."""
        return self._locked(fcntl.LOCK_SH)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "collection.lock").open("a") as lock:  # the kernel frees it if we are killed
            fcntl.flock(lock, how)
            yield


class ObjectArtifactStore:
    """Objects in S3, Google Cloud Storage or Azure, with a cache of whole files on this machine."""

    def __init__(self, store: ObjectStore, cache: Path) -> None:
        self._store = store
        self._cache = LocalArtifactStore(cache)

    def put_file(self, path: Path, move: bool = False) -> str:
        """Upload, also what is there already, so that it is new again; an object store shows an object only when it is whole."""
        sha256 = sha256_of(path)
        obstore.put(self._store, object_key(sha256), path)
        if move:
            path.unlink()
        return sha256

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

    def delete(self, sha256: str) -> None:
        """Remove the object and its cached copy, if they are there."""
        with suppress(FileNotFoundError):
            obstore.delete(self._store, object_key(sha256))
        self._cache.delete(sha256)

    def list_older_than(self, age_seconds: float) -> Iterator[StoredObject]:
        """Old objects."""
        for objects in obstore.list(self._store, prefix="sha256"):
            for found in objects:
                age = _age_of(found)
                if age >= age_seconds:
                    yield StoredObject(found["path"].rpartition("/")[2], found["size"], age)

    def delete_if_older_than(self, sha256: str, age_seconds: float) -> bool:
        """Look at the age right before. An object that is stored again in between is lost: object stores have no locks."""
        try:
            is_old = _age_of(obstore.head(self._store, object_key(sha256))) >= age_seconds
        except FileNotFoundError:
            return False
        if is_old:
            self.delete(sha256)
        return is_old

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


def fsync(path: Path) -> None:
    """Return once a file, or what a folder says of its entries, is safe from a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(path: Path, folder: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=INCOMING, delete=False) as copy:
        with path.open("rb") as source:
            shutil.copyfileobj(source, copy, CHUNK_BYTES)
        return Path(copy.name)


def _age_seconds(path: Path) -> float | None:
    """None for a file that is not there."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None


def _age_of(found: "ObjectMeta") -> float:
    return (datetime.now(UTC) - found["last_modified"]).total_seconds()
