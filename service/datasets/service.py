"""Decides what becomes of an upload, and reads stored data back. Knows no HTTP."""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy.orm import Session

from service.datasets import repository
from service.datasets.errors import DatasetInUse
from service.datasets.preview import read_examples
from service.datasets.schemas import FileFormat
from service.datasets.tables import Dataset
from service.errors import InvalidInput, MalformedInput, Problem, Unavailable
from service.infra.artifacts import ArtifactStore
from service.infra.ids import new_id
from service.infra.sandbox import Limits, SandboxFailed, run_sandboxed
from service.infra.scratch import Scratch, left_in
from service.settings import Settings
from service.workspaces import repository as workspaces
from service.workspaces.quotas import Quotas

CountBytes = Callable[[Session, str], int]
"""Tells how many bytes a workspace keeps, whatever they belong to."""
PARSER = "service.datasets.parsing"
READER = "service.datasets.reading"
TABLE_TYPE = "application/vnd.apache.parquet"
ARRAYS_TYPE = "application/x-npz"


@dataclass(frozen=True)
class Upload:
    """What a client has sent, as a file of this machine."""

    path: Path
    name: str
    target: str | None
    format: FileFormat | Literal["document"] | None = None
    """``document`` is a JSON body. None: the parser looks at the file."""
    file_name: str = ""
    """What the client calls the file."""
    image_size: tuple[int, int] | None = None
    """Height and width that images are resized to."""


@dataclass(frozen=True)
class PreparedDataset:
    """A parsed and stored upload that has no row in the database yet."""

    upload: Upload
    files: dict[str, dict[str, Any]]
    description: dict[str, Any]


class DatasetService:
    """Parses uploads in a child process and keeps the result in the artifact store."""

    def __init__(self, artifacts: ArtifactStore, settings: Settings, count_bytes: CountBytes, scratch: Scratch) -> None:
        self._artifacts = artifacts
        self._settings = settings
        self._scratch = scratch
        self._quotas = Quotas.of(settings)
        self._count_bytes = count_bytes
        self._limits = Limits(settings.parse_timeout_seconds, settings.parse_memory_bytes)

    def receiving_folder(self) -> AbstractContextManager[Path]:
        """An empty folder for one upload, on the disk of the data; what a killed process leaves there, a sweeper removes."""
        return self._scratch.folder("upload")

    def check_room(self, session: Session, workspace_id: str, needed_bytes: int) -> None:
        """Raise QuotaExceeded where a workspace may not store so much more."""
        self._require_room(session, workspace_id, workspaces.read_quotas(session, workspace_id, self._quotas), needed_bytes)

    def _require_room(self, session: Session, workspace_id: str, quotas: Quotas, needed_bytes: int) -> None:
        quotas.require("stored_bytes", lambda: self._count_bytes(session, workspace_id), needed_bytes)

    def prepare(self, upload: Upload) -> PreparedDataset:
        """Parse and store an upload, whose folder is gone then; needs no transaction.

        Raises InvalidInput, MalformedInput or Unavailable.
        """
        try:
            description = self._parse(upload)
            folder = upload.path.parent
            files = {name: self._store(left_in(folder, path)) for name, path in description.pop("files").items()}
        finally:
            shutil.rmtree(upload.path.parent, ignore_errors=True)  # it takes its time, which an event loop does not have
        return PreparedDataset(upload, files, description)

    def _store(self, path: Path) -> dict[str, Any]:
        size_bytes = path.stat().st_size
        return {"sha256": self._artifacts.put_file(path, move=True), "size_bytes": size_bytes}

    def _parse(self, upload: Upload) -> dict[str, Any]:
        settings = self._settings
        request = {
            "path": str(upload.path),
            "format": upload.format,
            "file_name": upload.file_name,
            "target": upload.target,
            "image_size": upload.image_size,
            "max_rows": settings.max_rows,
            "max_columns": settings.max_columns,
            "max_cells": settings.max_cells,
            "max_unpacked_bytes": settings.max_unpacked_bytes,
            "max_expansion": settings.max_expansion,
        }
        try:
            answer = run_sandboxed(PARSER, request, upload.path.parent, self._limits)
        except SandboxFailed as error:
            problem = Problem("", f"Reading stopped: {error.reason}.", fix="Send less data at once, or check the file.")
            raise InvalidInput("The data cannot be read.", [problem]) from error
        return _description_in(answer)

    def create(self, session: Session, workspace_id: str, prepared: PreparedDataset) -> Dataset:
        """Make the dataset known. Raises QuotaExceeded where the workspace may not store so much more."""
        size_bytes = sum(file["size_bytes"] for file in prepared.files.values())
        quotas = workspaces.lock_quotas(session, workspace_id, self._quotas)
        self._require_room(session, workspace_id, quotas, size_bytes)
        dataset = Dataset(
            id=new_id("ds"),
            workspace_id=workspace_id,
            name=prepared.upload.name,
            files=prepared.files,
            size_bytes=size_bytes,
            **prepared.description,
        )
        session.add(dataset)
        session.flush()
        return dataset

    def read_rows(self, dataset: Dataset, start: int, count: int) -> list[dict[str, Any]]:
        """Rows ``start`` to ``start + count`` as JSON-ready objects."""
        if dataset.kind == "arrays":
            arrays = {name: np.load(self._path(dataset, name), mmap_mode="r", allow_pickle=False) for name in dataset.files}
            return read_examples(arrays, dataset.arrays, start, count)
        return self._read_table_rows({"path": str(self._path(dataset, "table")), "start": start, "count": count})

    def _read_table_rows(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            with self._scratch.folder("rows") as folder:
                rows: list[dict[str, Any]] = run_sandboxed(READER, request, folder, self._limits)["rows"]
        except SandboxFailed as error:
            raise Unavailable(f"The rows cannot be read: {error.reason}.") from error
        return rows

    @contextmanager
    def open_content(self, dataset: Dataset) -> Iterator[tuple[Path, str, str]]:
        """A local file with the whole dataset, its media type and a safe name for the download."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", dataset.name).strip("._")[:80] or dataset.id
        if dataset.kind == "table":
            yield self._path(dataset, "table"), TABLE_TYPE, f"{stem}.parquet"
            return
        with self._scratch.folder("download") as folder:
            path = folder / "arrays.npz"
            with zipfile.ZipFile(path, "w") as archive:
                for name in dataset.files:
                    archive.write(self._path(dataset, name), f"{name}.npy")
            yield path, ARRAYS_TYPE, f"{stem}.npz"

    def _path(self, dataset: Dataset, name: str) -> Path:
        return self._artifacts.local_path(dataset.files[name]["sha256"])


def _description_in(answer: dict[str, Any]) -> dict[str, Any]:
    """The description that the parser has answered. Raises what it says is wrong with the upload."""
    fault = answer.get("error")
    if fault == "malformed":
        raise MalformedInput(answer["message"])
    if fault == "disk_full":
        raise Unavailable("There is no room left on the disk of the service.", retry_after_seconds=60)
    if fault is not None:
        raise InvalidInput(answer["message"], [Problem(**problem) for problem in answer["problems"]])
    description: dict[str, Any] = answer["dataset"]
    return description


def delete(session: Session, workspace_id: str, dataset_id: str) -> None:
    """Forget a dataset. Raises DatasetInUse while a run needs it."""
    dataset = repository.get(session, workspace_id, dataset_id, lock=True)
    holders = repository.list_holders(session, dataset_id)
    if holders:
        raise DatasetInUse(dataset_id, holders)
    session.delete(dataset)
