"""What a parser is asked to do, and the limits that it has to keep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from service.errors import InvalidInput, Problem

Format = Literal["csv", "json", "parquet", "npy", "npz", "images", "document"]
"""``document`` is a JSON body of the API; the others are files."""

EXPANSION_ALLOWANCE_BYTES = 64 * 1024 * 1024
"""Small files may be packed tighter: a few lines that repeat are no attack."""


@dataclass(frozen=True)
class ParseRequest:
    """An upload as a file of this machine. Everything that is made of it is written into the same folder."""

    path: Path
    format: Format | None = None
    """None: to be recognised."""
    file_name: str = ""
    """What the client calls the file."""
    target: str | None = None
    image_size: tuple[int, int] | None = None
    """Height and width to resize images to."""
    max_rows: int = 50_000_000
    max_columns: int = 10_000
    max_cells: int = 2_000_000_000
    max_unpacked_bytes: int = 16 * 1024**3
    max_expansion: int = 200

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "ParseRequest":
        """The request that came as JSON."""
        size = document.get("image_size")
        return cls(**document | {"path": Path(document["path"]), "image_size": tuple(size) if size else None})

    def beside(self, name: str) -> Path:
        """A path for a file to write."""
        return self.path.with_name(name)

    def budget(self) -> "Budget":
        """How much may come out of the upload."""
        allowed = max(self.path.stat().st_size * self.max_expansion, EXPANSION_ALLOWANCE_BYTES)
        return Budget(min(allowed, self.max_unpacked_bytes))

    def check_rows(self, rows: int) -> None:
        """Raises InvalidInput over the limit."""
        if rows > self.max_rows:
            problem = Problem("file", "Too many rows.", str(rows), f"at most {self.max_rows}")
            raise InvalidInput("The dataset has too many rows.", [problem])

    def check_columns(self, columns: int) -> None:
        """Raises InvalidInput over the limit."""
        if columns > self.max_columns:
            problem = Problem("file", "Too many columns.", str(columns), f"at most {self.max_columns}")
            raise InvalidInput("The table has too many columns.", [problem])

    def check_cells(self, cells: int) -> None:
        """Raises InvalidInput over the limit."""
        if cells > self.max_cells:
            problem = Problem("file", "Too many cells: rows times columns.", str(cells), f"at most {self.max_cells}")
            raise InvalidInput("The dataset is too large.", [problem])

    def check_target(self, names: list[str], noun: str = "column") -> None:
        """Raises InvalidInput when the target is none of the names."""
        if self.target is not None and self.target not in names:
            known = ", ".join(names[:20])
            problem = Problem(
                "target", f"There is no such {noun}.", self.target[:80], f"one of: {known}", "Correct it or leave it out."
            )
            raise InvalidInput("The target is not in the data.", [problem])


class Budget:
    """Counts what is unpacked, and refuses more than is allowed."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Count bytes before or while they are unpacked. Raises InvalidInput."""
        self._taken_bytes += size_bytes
        if self._taken_bytes > self._limit_bytes:
            problem = Problem(
                "file",
                "It is too large inside for its size outside.",
                expected=f"at most {self._limit_bytes} bytes when unpacked",
                fix="Split it, or send it with less compression.",
            )
            raise InvalidInput("The file expands too far.", [problem])
