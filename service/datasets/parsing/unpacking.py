"""Opens gzip and ZIP files that a stranger has packed: bounded, and no name of theirs becomes a path."""

import gzip
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from service.datasets.parsing.request import Budget, ParseRequest
from service.errors import InvalidInput, MalformedInput, Problem
from service.infra.disk import is_full_disk

GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 256 * 1024
MAX_MEMBERS = 2_000_000
ENCRYPTED = 0x1
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeError, ValueError)


def unpacked(request: ParseRequest) -> Path:
    """The upload itself, or what is inside when it is gzipped. Raises InvalidInput or MalformedInput."""
    with request.path.open("rb") as file:
        if file.read(2) != GZIP_MAGIC:
            return request.path
    path = request.beside("unpacked")
    if not path.exists():
        with gzip.open(request.path) as source, path.open("wb") as target:
            try:
                copy_bounded(source, target, request.budget())
            except DAMAGED as error:
                if is_full_disk(error):
                    raise
                raise MalformedInput("The gzip file is damaged or cut off.") from error
    return path


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose members have harmless names. Raises InvalidInput or MalformedInput."""
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise MalformedInput("The ZIP file is damaged or cut off.") from error
    with archive:
        _check_members(archive.infolist())
        yield archive


@contextmanager
def open_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[BinaryIO]:
    """What is inside a member. Raises MalformedInput when it is damaged, while it is opened or read."""
    try:
        with archive.open(entry) as file:
            yield file  # type: ignore[misc]  # typeshed calls it IO[bytes]
    except DAMAGED as error:
        if is_full_disk(error):
            raise
        raise MalformedInput(f"Member '{shown(entry.filename)}' of the ZIP file is damaged.") from error


def copy_bounded(source: BinaryIO | gzip.GzipFile, target: BinaryIO, budget: Budget) -> None:
    """Copy everything, counting it. Raises InvalidInput once it is too much."""
    while chunk := source.read(CHUNK_BYTES):
        budget.take(len(chunk))
        target.write(chunk)


def shown(name: str) -> str:
    """A member's name as it can stand in a message."""
    return "".join(character if character.isprintable() else "?" for character in name)[:80]


def refused_member(name: str, message: str, expected: str | None = None, fix: str | None = None) -> InvalidInput:
    """The error about one member of an archive."""
    where = f"Member '{shown(name)}'"
    return InvalidInput(
        f"{where} of the ZIP file cannot be used: {message}", [Problem("file", f"{where}: {message}", None, expected, fix)]
    )


def _check_members(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_MEMBERS:
        problem = Problem("file", "Too many members.", str(len(entries)), f"at most {MAX_MEMBERS}")
        raise InvalidInput("The ZIP file has too many members.", [problem])
    seen: set[str] = set()
    for entry in entries:
        fault = "it stands twice in the archive." if entry.filename in seen else _fault(entry)
        if fault:
            raise refused_member(entry.filename, fault)
        seen.add(entry.filename)


def _fault(entry: zipfile.ZipInfo) -> str | None:
    name = entry.orig_filename  # zipfile cuts `filename` at a zero character
    if not entry.filename:
        return "it has no name."
    if "\0" in name or "\\" in name:
        return "its name has a backslash or a zero character."
    if name.startswith("/") or ":" in name.split("/", 1)[0]:
        return "its name is an absolute path."
    if ".." in name.split("/"):
        return "its name climbs out of its folder."
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link."
    if entry.flag_bits & ENCRYPTED:
        return "it is encrypted."
    return None
