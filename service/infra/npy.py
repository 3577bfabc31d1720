"""NumPy's files of one array, a block at a time. Source of the form: NEP 1 (``numpy.lib.format``)."""

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

Array = np.ndarray[Any, Any]


def write_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Begin a file of an array in C order; its bytes are to follow."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def write_rows(file: IO[bytes], rows: Array) -> None:
    """Write the next rows. Raises OSError, which ``ndarray.tofile`` would hide when the disk is full."""
    file.write(np.ascontiguousarray(rows).data)


def write_npy(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[Array]) -> None:
    """Write a whole file of blocks of its rows, in another type where they have one. Raises OSError."""
    with path.open("wb") as file:
        write_header(file, shape, dtype)
        for block in blocks:
            write_rows(file, block.astype(dtype, copy=False))


def release_pages(arrays: Iterable[Array]) -> None:
    """Let go of the pages that were read of mapped files, which would fill the memory otherwise as long as there is any."""
    for array in arrays:
        mapped = getattr(array, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
