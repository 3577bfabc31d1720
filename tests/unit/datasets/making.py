"""Makes files to upload, as bytes, and parses them in this process."""

import io
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

from service.datasets.parsing.__main__ import parse
from service.datasets.parsing.request import ParseRequest

Document = dict[str, Any]


def parsed(folder: Path, content: bytes | str, **fields: Any) -> Document:
    """The description of a dataset made of these bytes."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "upload"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return parse(ParseRequest(path, **fields))


def rows_of(description: Document) -> list[Document]:
    """All rows of a parsed table."""
    rows: list[Document] = pa.parquet.read_table(description["files"]["table"]).to_pylist()
    return rows


def types_of(description: Document) -> dict[str, str]:
    """Type of each column by its name."""
    return {column["name"]: column["type"] for column in description["columns"]}


def arrays_of(description: Document) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a parsed dataset."""
    return {name: np.load(path, allow_pickle=False) for name, path in description["files"].items()}


def npy(array: Any, **options: Any) -> bytes:
    """An NPY file."""
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    """An NPZ file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def parquet(table: Mapping[str, Any], **options: Any) -> bytes:
    """A Parquet file."""
    file = io.BytesIO()
    pa.parquet.write_table(pa.table(dict(table)), file, **options)
    return file.getvalue()


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def zipped_link(name: str, target: str) -> bytes:
    """A ZIP file with a symbolic link."""
    file = io.BytesIO()
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, target)
    return file.getvalue()


def image(colour: Any, size: tuple[int, int] = (8, 6), mode: str = "L", kind: str = "PNG") -> bytes:
    """An image file of one colour; ``size`` is width and height."""
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, kind)
    return file.getvalue()
