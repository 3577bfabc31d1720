"""Keeps encoded examples on this machine, so that the next run on the same data does not encode it again."""

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from service.training.examples import Examples, open_examples

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PARTIAL = ".partial-"
ABANDONED_SECONDS = 24 * 3600
"""Age from which a folder that nobody has finished is removed."""
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)
"""What a rename to a folder that is there is answered with."""


class EncodedCache:
    """A folder of folders of examples, by a hash of everything that decides about their numbers.

    Files are not synced to the disk: those of an earlier boot, which a loss of power may have left half written, are not used.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder / _boot()
        self._limit_bytes = limit_bytes

    def examples(self, ingredients: dict[str, Any], write: Callable[[Path], Examples]) -> Examples:
        """The examples of these ingredients (JSON data): those that are there, or else those that ``write`` makes in a folder."""
        document = msgspec.json.encode([version("fitserve"), ingredients], order="deterministic")
        entry = self._folder / hashlib.sha256(document).hexdigest()
        return self._open(entry) or self._write(entry, write)

    def _open(self, entry: Path) -> Examples | None:
        try:
            examples = open_examples(entry)
            os.utime(entry)
        except (OSError, ValueError, msgspec.MsgspecError):  # absent, damaged, or just removed by another trainer
            _remove(entry)
            return None
        return examples

    def _write(self, entry: Path, write: Callable[[Path], Examples]) -> Examples:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=self._folder))
        try:
            examples = write(partial)
            self._make_room(_size_bytes(partial))
            self._keep(partial, entry)
        except BaseException:
            _remove(partial)
            raise
        return examples

    def _keep(self, partial: Path, entry: Path) -> None:
        """Name a finished folder, or remove it where it is too large or there is one; its mapped files stay readable."""
        if _size_bytes(partial) > self._limit_bytes:
            _remove(partial)
            return
        try:
            partial.rename(entry)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            _remove(partial)  # another trainer was quicker

    def _make_room(self, size_bytes: int) -> None:
        """Remove what has not been used for longest; files that somebody has mapped stay readable."""
        for boot in self._folder.parent.iterdir():
            if boot != self._folder:
                shutil.rmtree(boot, ignore_errors=True)
        for used_at, entry in sorted(_entries(self._folder), key=lambda entry: entry[0], reverse=True):
            if entry.name.startswith(PARTIAL):
                is_unwanted = time.time() - used_at > ABANDONED_SECONDS
            else:
                size_bytes += _size_bytes(entry)
                is_unwanted = size_bytes > self._limit_bytes
            if is_unwanted:
                _remove(entry)


def _remove(entry: Path) -> None:
    """Remove a folder as one: nobody shall find half of it under its name."""
    doomed = entry.with_name(f"{PARTIAL}{uuid4().hex}")
    try:
        entry.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def _boot() -> str:
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else "any-boot"


def _entries(folder: Path) -> list[tuple[float, Path]]:
    entries = []
    for entry in folder.iterdir():
        try:
            entries.append((entry.stat().st_mtime, entry))
        except FileNotFoundError:
            continue
    return entries


def _size_bytes(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except FileNotFoundError:
        return 0
