"""Tells the form of an upload by its first bytes, and by its name where these say nothing."""

import re
from pathlib import Path

from service.datasets.parsing.request import Format, ParseRequest
from service.datasets.parsing.unpacking import open_zip, unpacked
from service.errors import InvalidInput, Problem

HEAD_BYTES = 64
EXPECTED = "CSV, JSON, JSON Lines, Parquet, NPY, NPZ or a ZIP of images"
NPY_MAGIC = b"\x93NUMPY"
PARQUET_MAGIC = b"PAR1"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
OTHERS = {
    b"ARROW1": "an Arrow or Feather file",
    b"FEA1": "a Feather file",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF file",
    b"SQLite format 3": "an SQLite database",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "a single image",
    b"\xff\xd8\xff": "a single image",
    b"GIF8": "a single image",
}
JSON_ENDINGS = (".json", ".jsonl", ".ndjson", ".geojson")
LOOKS_LIKE_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*[{\]])")
TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt")


def recognise(request: ParseRequest) -> Format:
    """The form of an upload. Raises InvalidInput for one that is known to be something else."""
    path = unpacked(request)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(NPY_MAGIC):
        return "npy"
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    if head.startswith(ZIP_MAGICS):
        return _kind_of_zip(path)
    for magic, what in OTHERS.items():
        if head.startswith(magic):
            raise InvalidInput(f"The file is {what}.", [Problem("file", "It cannot be read.", what, EXPECTED)])
    return _kind_of_text(request.file_name, head)


def _kind_of_text(file_name: str, head: bytes) -> Format:
    name = file_name.lower().removesuffix(".gz")
    if name.endswith(JSON_ENDINGS):
        return "json"
    if name.endswith(TEXT_ENDINGS):
        return "csv"
    return "json" if LOOKS_LIKE_JSON.match(head) else "csv"


def _kind_of_zip(path: Path) -> Format:
    with open_zip(path) as archive:
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    if any(name.startswith("xl/") for name in names):
        raise InvalidInput("The file is an Excel workbook.", [Problem("file", "It cannot be read.", "Excel", EXPECTED)])
    return "npz" if names and all(name.endswith(".npy") for name in names) else "images"
