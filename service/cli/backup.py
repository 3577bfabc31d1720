"""Backup and restore of the embedded stack: one archive with a consistent database and every file that it refers to."""

import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

import msgspec
import typer

import service
from service.errors import Conflict, FitserveError, InvalidInput
from service.infra.artifacts import CHUNK_BYTES, LocalArtifactStore, fsync, make_artifact_store, object_key, sha256_of
from service.infra.database import Database, make_engine
from service.infra.migrations import current_revision
from service.runs.garbage import list_references
from service.settings import Settings

FORMAT: Literal[1] = 1
MANIFEST, DATABASE = "manifest.json", "fitserve.db"
MAX_MANIFEST_BYTES = 64 * 1024


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive says of itself; its first entry."""

    format: Literal[1]
    version: str
    revision: str | None
    created_at: datetime
    files: int
    """Number of files beside the database."""
    database_sha256: str


class BackupBroken(FitserveError):
    """A file is missing or damaged."""


def run_backup(settings: Settings, archive: Path) -> None:
    """Write everything into a new archive, while the service runs. Raises FitserveError with one line."""
    _require_embedded(settings)
    if archive.exists():
        raise Conflict(f"{str(archive)!r} is there already. Name a new file.")
    if not (settings.data_dir / DATABASE).exists():
        raise InvalidInput(f"There is no database in {str(settings.data_dir)!r}. Choose another folder with --data-dir.")
    store = make_artifact_store(settings)
    if not isinstance(store, LocalArtifactStore):
        raise InvalidInput("The files are in an object store: back that up by its own means. See docs/operations.md.")
    with tempfile.TemporaryDirectory(dir=archive.absolute().parent, prefix=".fitserve-backup-") as folder:
        incomplete = Path(folder, "archive.tar")
        with store.collection_kept_out():
            count = _write_archive(settings, store, Path(folder), incomplete)
        fsync(incomplete)
        incomplete.replace(archive)
        fsync(archive.absolute().parent)
    typer.echo(f"Wrote the database and {count} files to {archive} ({archive.stat().st_size / 1024**2:.1f} MiB).")


def _write_archive(settings: Settings, store: LocalArtifactStore, folder: Path, path: Path) -> int:
    copy = folder / DATABASE
    with (
        closing(sqlite3.connect(settings.data_dir / DATABASE, timeout=30)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    snapshot = settings.model_copy(update={"data_dir": folder})
    references = _references(snapshot)
    manifest = Manifest(
        format=FORMAT,
        version=service.__version__,
        revision=current_revision(snapshot),
        created_at=datetime.now(UTC),
        files=len(references),
        database_sha256=sha256_of(copy),
    )
    with tarfile.open(path, "w") as archive:
        (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        archive.add(folder / MANIFEST, MANIFEST)
        archive.add(copy, DATABASE)
        for sha256 in references:
            archive.add(_whole_file(store, sha256), object_key(sha256))
    return len(references)


def _references(settings: Settings) -> list[str]:
    database = Database(make_engine(settings))
    try:
        with database.read() as session:
            return sorted(set(list_references(session)))
    finally:
        database.close()


def _whole_file(store: LocalArtifactStore, sha256: str) -> Path:
    try:
        path = store.local_path(sha256)
    except FileNotFoundError:
        raise BackupBroken(f"The file {sha256} is not in the artifact store. No backup was written.") from None
    if sha256_of(path) != sha256:
        raise BackupBroken(f"The file {sha256} in the artifact store is damaged. No backup was written.")
    return path


def run_restore(settings: Settings, archive: Path) -> None:
    """Bring an archive back into an empty data folder: all of it or nothing. Raises FitserveError with one line."""
    _require_embedded(settings)
    target = settings.data_dir.absolute()
    if target.exists() and any(target.iterdir()):
        raise Conflict(f"{str(settings.data_dir)!r} is not empty. Restore into a new folder with --data-dir.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fitserve-restore-") as folder:
        count = _unpack(settings, archive, Path(folder))
        complete = Path(folder, "complete")
        if target.exists():
            target.rmdir()
        complete.replace(target)
        fsync(target.parent)
    typer.echo(f"Restored the database and {count} files into {settings.data_dir}. Start with 'fitserve up'.")


def _unpack(settings: Settings, path: Path, folder: Path) -> int:
    complete = folder / "complete"
    complete.mkdir()
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            manifest = _read_manifest(archive)
            stored = list(_unpack_files(archive, complete, manifest.database_sha256))
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BackupBroken(f"{str(path)!r} cannot be read: {error}.") from error
    if len(stored) != manifest.files + 1:
        raise BackupBroken(f"{str(path)!r} is cut off: it has {len(stored) - 1} of {manifest.files} files.")
    missing = set(_references(settings.model_copy(update={"data_dir": complete}))) - set(stored)
    if missing:
        raise BackupBroken(f"{str(path)!r} lacks {len(missing)} files, e.g. {min(missing)}.")
    return manifest.files


def _read_manifest(archive: tarfile.TarFile) -> Manifest:
    first = archive.next()
    content = archive.extractfile(first) if first is not None and first.name == MANIFEST and first.isfile() else None
    try:
        return msgspec.json.decode(content.read(MAX_MANIFEST_BYTES) if content is not None else b"", type=Manifest)
    except msgspec.DecodeError:
        raise BackupBroken("This is no backup of Fitserve, or one of a newer version.") from None


def _unpack_files(archive: tarfile.TarFile, target: Path, database_sha256: str) -> Iterator[str]:
    """Only names that we chose ourselves are written, so no entry can lead out of the folder."""
    while (entry := archive.next()) is not None:
        content = archive.extractfile(entry) if entry.isfile() else None
        sha256 = database_sha256 if entry.name == DATABASE else entry.name.rpartition("/")[2]
        is_ours = entry.name == DATABASE or (len(sha256) == 64 and sha256.isalnum() and entry.name == object_key(sha256))
        if content is None or not is_ours:
            raise BackupBroken(f"The archive has an entry that no backup has: {entry.name[:80]!r}.")
        _unpack_file(content, target / (DATABASE if entry.name == DATABASE else f"artifacts/{entry.name}"), sha256)
        yield sha256


def _unpack_file(content: IO[bytes], path: Path, sha256: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file, CHUNK_BYTES)
        file.flush()
        os.fsync(file.fileno())
    if sha256_of(path) != sha256:
        raise BackupBroken(f"The archive is damaged at {path.name}.")


def _require_embedded(settings: Settings) -> None:
    if not settings.is_embedded:
        raise InvalidInput("The database is not the embedded one: back it up by its own means. See docs/operations.md.")
