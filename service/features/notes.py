"""Counts what is odd about very many rows, so that it can be told in a few sentences. Knows no files and no engine."""

from typing import Any, Literal

import msgspec
import numpy as np

from service.features.cells import MAX_WARNINGS, shown
from service.features.raw import Array

Oddity = Literal["unseen", "far", "no_date", "too_large", "not_finite"]

SENTENCES: dict[Oddity, str] = {
    "unseen": "Column '{name}': {rows} with a value that was not seen in training, such as {example}; it counts as unknown.",
    "far": "Column '{name}': {rows} with a number far outside of the training range, such as {example}.",
    "no_date": "Column '{name}': {rows} with a text that is no date, such as {example}; they have no prediction.",
    "too_large": "'{name}': {rows} with a number that is too large, such as row {example}; they have no prediction.",
    "not_finite": "The model gave numbers that are not finite for {rows}, such as row {example}; they have no prediction.",
}
"""What is said of each, in the order of the warnings."""


class Note(msgspec.Struct):
    """How many rows something is odd about."""

    oddity: Oddity
    name: str
    """The column or input; empty for what concerns the whole row."""
    rows: int
    example: str
    """The first value, or the number of the first row, counted from 0."""


class Notes:
    """What is odd about the rows so far."""

    def __init__(self) -> None:
        self._notes: dict[tuple[Oddity, str], Note] = {}

    def add_cells(self, oddity: Oddity, name: str, values: Array, is_odd: Array) -> None:
        """Note the rows of a raw column whose value is odd."""
        if is_odd.any():
            value: Any = values[np.argmax(is_odd)]
            self._add(Note(oddity, name, int(is_odd.sum()), shown(value.item() if isinstance(value, np.generic) else value)))

    def add_rows(self, oddity: Oddity, name: str, start: int, is_odd: Array) -> None:
        """Note odd rows of a block; ``start`` is the number of its first one."""
        if is_odd.any():
            self._add(Note(oddity, name, int(is_odd.sum()), str(start + int(np.argmax(is_odd)))))

    def add(self, other: "Notes") -> None:
        """Add what was noted of later rows."""
        for note in other._notes.values():
            self._add(note)

    def _add(self, note: Note) -> None:
        known = self._notes.get((note.oddity, note.name))
        example = note.example if known is None else known.example
        rows = note.rows + (0 if known is None else known.rows)
        self._notes[note.oddity, note.name] = Note(note.oddity, note.name, rows, example)

    def sentences(self) -> list[str]:
        """At most ``MAX_WARNINGS`` warnings, and how many more there are."""
        order = list(SENTENCES)
        notes = sorted(self._notes.values(), key=lambda note: order.index(note.oddity), reverse=True)
        said = [_sentence(note) for note in notes[:MAX_WARNINGS]]
        left = len(notes) - len(said)
        return [*said, f"There are {left} more warnings of this kind."] if left else said

    def as_json(self) -> bytes:
        """The way into a file."""
        return msgspec.json.encode(list(self._notes.values()))

    @classmethod
    def from_json(cls, document: bytes) -> "Notes":
        """The way back. Raises msgspec.DecodeError."""
        notes = cls()
        for note in msgspec.json.decode(document, type=list[Note]):
            notes._add(note)
        return notes


def _sentence(note: Note) -> str:
    rows = f"{note.rows:,} row{'s' if note.rows > 1 else ''}"
    return SENTENCES[note.oddity].format(name=note.name[:80], rows=rows, example=note.example)
