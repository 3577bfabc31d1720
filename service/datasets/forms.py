"""Reads a multipart form as it arrives: the file goes straight to disk, whatever its size. Knows no datasets.

Source: RFC 7578.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import InvalidInput, MalformedInput, Problem

FILE = "file"
MAX_FIELD_BYTES = 64 * 1024
WRITE_BYTES = 1024 * 1024


@dataclass
class Form:
    """What a form held."""

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str | None = None
    """What the client calls the file; None when there was no file."""


async def read_form(content_type: str, body: AsyncIterator[bytes], path: Path, known: frozenset[str]) -> Form:
    """The fields of a form; its file is written to ``path``. Raises MalformedInput or InvalidInput."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise MalformedInput("The Content-Type of the form has no boundary.")
    with path.open("wb") as file:
        reader = _FormReader(boundary, file, known)
        async for block in _in_blocks(body):
            await anyio.to_thread.run_sync(reader.take, block)
    return reader.end()


async def _in_blocks(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger pieces: to hand a piece to another thread costs more than to write it."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in body:
        waiting.append(chunk)
        size += len(chunk)
        if size >= WRITE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


class _FormReader:
    """Follows the parser from part to part."""

    def __init__(self, boundary: bytes, file: BinaryIO, known: frozenset[str]) -> None:
        self._file = file
        self._known = known
        self._form = Form()
        self._is_whole = False
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._name = ""
        self._is_file = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise MalformedInput("The form's boundary is too long.") from error

    def take(self, data: bytes) -> None:
        """Read on. Raises MalformedInput or InvalidInput."""
        if not data:
            return
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedInput(
                "The body is no multipart form of the boundary that its Content-Type names, or a header in it is over 4 KiB."
            ) from error

    def end(self) -> Form:
        """The form. Raises InvalidInput when it was cut off."""
        if not self._is_whole:
            problem = Problem(FILE, "The end of the form is missing.", fix="Send it again: the upload was cut off.")
            raise InvalidInput("The form has no end: the upload was cut off.", [problem])
        return self._form

    def _on_part_begin(self) -> None:
        self._value = bytearray()
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        options = parse_options_header(self._disposition.decode("latin-1"))[1]
        self._name = _text(options.get(b"name", b""))
        self._is_file = b"filename" in options
        if self._name not in self._known:
            problem = Problem(self._name[:80], "There is no such field.", expected=", ".join(sorted(self._known)))
            raise InvalidInput("The form has an unknown field.", [problem])
        if self._name in self._form.fields or (self._name == FILE and self._form.file_name is not None):
            raise MalformedInput(f"The form has the field '{self._name}' twice.")
        if self._is_file != (self._name == FILE):
            expected = "a file" if self._name == FILE else "text"
            problem = Problem(self._name, f"This field is {expected}.", expected=expected, fix="curl -F file=@data.csv …")
            raise InvalidInput("The form has no file, or a file in another field.", [problem])
        if self._is_file:
            self._form.file_name = _text(options[b"filename"])

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._file.write(memoryview(data)[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            problem = Problem(self._name, "The field is too long.", expected=f"at most {MAX_FIELD_BYTES} bytes")
            raise InvalidInput("A field of the form is too long.", [problem])

    def _on_part_end(self) -> None:
        if not self._is_file:
            self._form.fields[self._name] = _text(bytes(self._value))

    def _on_end(self) -> None:
        self._is_whole = True


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
