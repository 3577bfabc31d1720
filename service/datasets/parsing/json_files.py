"""Reads JSON files of any size, plain or gzipped: an array of objects, JSON Lines, or one document with rows or arrays."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from service.datasets.parsing.documents import is_document, store_document
from service.datasets.parsing.json_rows import Row, store_rows
from service.datasets.parsing.request import ParseRequest
from service.datasets.parsing.unpacking import unpacked
from service.errors import InvalidInput, MalformedInput, Problem

CHUNK_CHARACTERS = 1024 * 1024
MAX_VALUE_CHARACTERS = 16 * 1024 * 1024
LONGEST_TOKEN = 32
SPACE = " \t\r\n"


def parse_json(request: ParseRequest) -> dict[str, Any]:
    """Store a JSON file. Raises InvalidInput or MalformedInput."""
    path = unpacked(request)
    first = next(read_values(path), None)
    if first is None:
        raise InvalidInput("The file is empty.", [Problem("file", "There are no rows.", expected="one object per row")])
    if is_document(first[1]):
        return store_document(request, first[1])
    return store_rows(request, lambda: read_values(path))


def read_values(path: Path) -> Iterator[Row]:
    """Every value of an array or of JSON Lines, with the line that it begins on. Raises MalformedInput or InvalidInput."""
    with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
        try:
            yield from _Reader(file).values()
        except UnicodeDecodeError as error:
            raise MalformedInput(f"The JSON file is not UTF-8 text: {_place_of_bad_byte(path)}.") from error
        except RecursionError as error:
            raise InvalidInput("The JSON file is nested too deeply.", [Problem("file", "Too many brackets.")]) from error


class _Reader:
    """A window that moves over the text; it holds one value as a whole."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._place = 0
        self._line = 1
        self._row = 0
        self._is_array = False
        self._may_be_quick = True
        self._decoder = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)

    def values(self) -> Iterator[Row]:
        self._is_array = self._peek() == "["
        if self._is_array:
            self._skip(1)
        if self._is_array and self._peek() == "]":
            self._skip(1)
        else:
            yield from self._items()
        if self._peek():
            raise self._malformed("there is something after the end of the array")

    def _items(self) -> Iterator[Row]:
        while self._peek():
            many = self._many()
            if many:
                yield from many
                continue
            yield self._where(), self._value()
            following = self._peek()
            if self._is_array and following == "]":
                self._skip(1)
                return
            if self._is_array and not following:
                break
            if self._is_array and following != ",":
                raise self._malformed("a comma or the end of the array is missing")
            if self._is_array:
                self._skip(1)
        if self._is_array:
            raise self._malformed("the array is cut off")

    def _where(self) -> str:
        self._row += 1
        return f"row {self._row}" if self._is_array else f"line {self._line}"

    def _many(self) -> list[Row]:
        """All values of the window but the last, which is much faster than one by one; none where that does not work."""
        end = self._text.rfind("{", self._place + 1) if self._may_be_quick else -1
        found = self._decode(self._text[self._place : end]) if end > 0 else []
        if found:
            self._skip(end - self._place)
        else:
            self._may_be_quick = False  # until the window has moved
        return found

    def _decode(self, piece: str) -> list[Row]:
        try:
            return self._decode_array(piece) if self._is_array else self._decode_lines(piece)
        except (ValueError, RecursionError):  # one by one, the place of the fault will be known
            return []

    def _decode_array(self, piece: str) -> list[Row]:
        piece = piece.rstrip(SPACE)
        values = self._decoder.decode(f"[{piece[:-1]}]") if piece.endswith(",") else []
        return [(self._where(), value) for value in values]

    def _decode_lines(self, piece: str) -> list[Row]:
        lines = [(number, line) for number, line in enumerate(piece.split("\n"), self._line) if line.strip(SPACE)]
        values = self._decoder.decode(f"[{','.join(line for _, line in lines)}]") if piece.endswith("\n") else []
        return [(f"line {number}", value) for (number, _), value in zip(lines, values, strict=True)]

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                place = error.pos - self._place
                if self._may_be_cut(error) and self._more():
                    continue
                if self._place + place >= len(self._text.rstrip(SPACE)):
                    raise self._malformed("the file ends within the value that begins there") from error
                raise self._malformed(error.msg, self._place + place) from error
            except ValueError as error:  # thousands of digits, or one of our own
                raise self._malformed(str(error)[:200]) from error
            if end < len(self._text) or not self._more():  # a number may go on
                self._skip(end - self._place)
                return value

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the window ends within the value; a literal, number or escape that is cut off is shorter than its end."""
        return error.msg.startswith("Unterminated string") or len(self._text) - error.pos < LONGEST_TOKEN

    def _peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            end = self._place
            while end < len(self._text) and self._text[end] in SPACE:
                end += 1
            self._skip(end - self._place)
            if end < len(self._text):
                return self._text[end]
            if not self._more():
                return ""

    def _skip(self, count: int) -> None:
        self._line += self._text.count("\n", self._place, self._place + count)
        self._place += count

    def _more(self) -> bool:
        """Read on; whether there was more."""
        if len(self._text) - self._place > MAX_VALUE_CHARACTERS:
            message = f"Line {self._line} begins a value of more than {MAX_VALUE_CHARACTERS} characters."
            raise InvalidInput(message, [Problem("file", message, expected="one object per row")])
        # Twice as much each time, so that a long value is not tried too often.
        chunk = self._file.read(max(CHUNK_CHARACTERS, len(self._text) - self._place))
        self._text = self._text[self._place :] + chunk
        self._place = 0
        self._may_be_quick = True
        return bool(chunk)

    def _malformed(self, reason: str, place: int | None = None) -> MalformedInput:
        line = self._line + (self._text.count("\n", self._place, place) if place is not None else 0)
        return MalformedInput(f"The file is not valid JSON: {reason} (line {line}).")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _place_of_bad_byte(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, start = 1, 0
    with path.open("rb") as file:
        for text in file:  # a line feed is never a part of another character
            try:
                decoder.decode(text)
            except UnicodeDecodeError as error:
                return f"line {line}, byte {start + error.start}"
            line, start = line + 1, start + len(text)
    return "it is cut off"
