"""NPY and NPZ files."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.datasets.parsing import array_writer
from service.datasets.parsing.request import ParseRequest
from service.errors import FitserveError, InvalidInput
from tests.unit.datasets.making import arrays_of, npy, npz, parsed, zipped

X = np.arange(24, dtype=np.float64).reshape(4, 3, 2)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is a block of its own."""
    monkeypatch.setattr(array_writer, "BLOCK_BYTES", 8)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (X, "float32"),
        (X.astype(np.float16), "float32"),
        (X.astype(">f8"), "float32"),
        (X.astype(np.longdouble), "float32"),
        (X.astype(np.int64), "int32"),
        (X.astype(np.uint64), "int32"),
        (X.astype(np.int64) + 2**40, "int64"),
        (X.astype(np.uint8), "uint8"),
        (X.astype(">i2"), "int16"),
        (X > 3, "bool"),
        (np.asfortranarray(X), "float32"),
        (X[::2, :, ::-1], "float32"),
    ],
)
def test_an_array_is_kept_in_32_bits_where_it_fits(tmp_path: Path, array: Any, dtype: str) -> None:
    description = parsed(tmp_path, npy(array))
    stored = arrays_of(description)["x"]
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, array)
    assert stored.flags.c_contiguous
    told = description["arrays"][0]
    assert (told["shape"], told["dtype"]) == (list(array.shape), dtype)
    assert told["mean"] == pytest.approx(float(array.astype(float).mean()))
    assert told["std"] == pytest.approx(float(array.astype(float).std()))
    assert (told["min"], told["max"]) == (float(array.min()), float(array.max()))


def test_texts_become_classes(tmp_path: Path) -> None:
    description = parsed(tmp_path, npz(x=X, y=np.array(["b", "a", "b", "ç"])))
    assert description["target"] == "y"
    assert description["arrays"][1] == {"name": "y", "shape": [4], "dtype": "int32", "classes": ["a", "b", "ç"]}
    assert arrays_of(description)["y"].tolist() == [1, 0, 1, 2]


def test_an_array_that_is_compressed_is_read_too(tmp_path: Path) -> None:
    content = zipped({"x.npy": npy(X), "more.y.npy": npy(np.zeros(4, dtype=bool))}, zipfile.ZIP_BZIP2)
    assert set(arrays_of(parsed(tmp_path, content))) == {"x", "more.y"}


def characters(*codes: int) -> Any:
    """Texts of one character each, or of what is none."""
    return np.array(codes, dtype=np.uint32).view("<U1")


HEAD = npy(np.zeros(3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(npy(np.array([{}, 1], dtype=object), allow_pickle=True), "Python objects", id="objects"),
        pytest.param(npz(x=np.array([{}], dtype=object)), "'x'", id="objects in an archive"),
        pytest.param(npy(np.zeros(3, dtype=[("a", "i4")])), "not an array of numbers", id="structured"),
        pytest.param(npy(np.array(["2020-01-01"], dtype="M8[D]")), "datetime64", id="datetime"),
        pytest.param(npy(np.zeros(3, dtype=complex)), "complex", id="complex"),
        pytest.param(npy(np.array(1.0)), "shape []", id="no dimension"),
        pytest.param(npy(np.zeros((0, 3))), "shape [0, 3]", id="no rows"),
        pytest.param(npy(np.zeros((1,) * 6)), "dimensions", id="six dimensions"),
        pytest.param(npy(np.array(["a\0b"])), "no classes", id="a zero character"),
        pytest.param(npy(characters(0xD800, 65)), "no classes", id="half a character"),
        pytest.param(npy(characters(0xFFFFFFFF, 65)), "no classes", id="no character"),
        pytest.param(npy(np.arange(10_001).astype("U5")), "no classes", id="too many classes"),
        pytest.param(npy(np.array([["a"], ["b"]])), "shape [2, 1]", id="texts in two dimensions"),
        pytest.param(npy(np.array([[1.0, 2.0], [np.nan, 3.0]])), "nan at [1, 0]", id="missing number"),
        pytest.param(npy(np.array([1.0, 1e39])), "1e+39 at [1]", id="beyond 32 bits"),
        pytest.param(npy(np.array([2**64 - 1], dtype=np.uint64)), "large integers", id="beyond 64 bits"),
        pytest.param(HEAD.replace(b"(3,), }" + b" " * 10, b"(10000000000,), }"), "cannot be read", id="larger than its file"),
        pytest.param(HEAD.replace(b"(3,), } ", b"(-3,), }"), "cannot be read", id="negative shape"),
        pytest.param(HEAD.replace(b"}", b" "), "cannot be read", id="an open bracket"),
        pytest.param(HEAD[:-4], "cannot be read", id="cut off"),
        pytest.param(HEAD[:20], "cannot be read", id="half a header"),
        pytest.param(npz(x=X, y=np.zeros(3)), "x: 4, y: 3", id="different lengths"),
        pytest.param(zipped({"../../evil.npy": HEAD}), "climbs", id="a name that climbs"),
        pytest.param(zipped({"/evil.npy": HEAD}), "absolute", id="an absolute name"),
        pytest.param(zipped({"a/b.npy": HEAD}), "name", id="a name with a folder"),
        pytest.param(zipped({f"a{n}.npy": HEAD for n in range(101)}), "too many arrays", id="too many"),
        pytest.param(zipped({"x.npy": b"\x93NUMPY" + b"\0" * 90_000_000}), "expands too far", id="bomb"),
        pytest.param(zipped({"x.npy": HEAD})[:-30], "damaged", id="a damaged archive"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FitserveError) as raised:
        parsed(tmp_path, content)
    assert message in raised.value.message + str(getattr(raised.value, "problems", ""))


def test_a_target_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="target"):
        parsed(tmp_path, npz(x=X), target="z")


def test_too_many_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(npy(X))
    with pytest.raises(InvalidInput, match="too large"):
        parsed(tmp_path, npy(X), max_cells=23)
    assert ParseRequest(path).max_cells > 23
