"""The example data of the demo: small pictures of handwritten zeros and ones, and how to draw them with characters."""

import csv
from dataclasses import dataclass
from pathlib import Path

from service.errors import FitserveError

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_0_1.csv"
SIDE = 8
"""A picture has 8 x 8 pixels."""
INK = 8
"""Grey level, of 0 to 16, from which a pixel is drawn."""
BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
ASCII = {(False, False): " ", (True, False): "'", (False, True): ".", (True, True): "#"}

Picture = list[int]
"""The 64 grey levels of a picture, row by row."""


@dataclass(frozen=True)
class Digits:
    """The file, and its last rows, which a run with that validation split never trains on."""

    path: Path
    held_out: list[Picture]
    truths: list[int]


def read_digits(validation_split: float, path: Path = EXAMPLE) -> Digits:
    """The example data. Raises FitserveError where only the package is installed, without the examples."""
    if not path.is_file():
        raise FitserveError(f"The example data {path.name!r} is missing. Run the demo in a checkout of Fitserve.")
    with path.open(newline="") as file:
        rows = [[int(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    held_out = rows[len(rows) - int(len(rows) * validation_split) :]
    return Digits(path, [row[:-1] for row in held_out], [row[-1] for row in held_out])


def draw(picture: Picture, *, is_unicode: bool) -> str:
    """The picture as four lines of eight characters, each character two pixels high."""
    inked = [grey >= INK for grey in picture]
    characters = BLOCKS if is_unicode else ASCII
    return "\n".join(
        "".join(characters[inked[row * SIDE + column], inked[(row + 1) * SIDE + column]] for column in range(SIDE))
        for row in range(0, SIDE, 2)
    )
