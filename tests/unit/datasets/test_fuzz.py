"""Whatever bytes come, the parsers either describe a dataset or say what is wrong; they never fail in another way."""

import asyncio
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.datasets.forms import read_form
from service.datasets.parsing import csv_blocks
from service.datasets.uploads import FORM_FIELDS
from service.errors import FitserveError
from tests.unit.datasets.making import image, npy, npz, parquet, parsed, rows_of, zipped

FUZZ = settings(deadline=None)
"""As many examples as the profile says: few in every run of the tests, many in ``make fuzz``."""
SEEDS = {
    "csv": b'a,b,c\n1,"x, ""y""\n",2024-01-01\n2,z,\n',
    "json": b'[{"a": 1, "b": "x"}, {"a": 2.5, "b": null}]',
    "lines": b'{"a": 1, "b": "x"}\n{"a": 2.5, "b": null}\n',
    "parquet": parquet({"a": [1, 2, None], "b": ["x", "y", None]}),
    "npy": npy(np.arange(6.0).reshape(3, 2)),
    "npz": npz(x=np.arange(6).reshape(3, 2), y=np.array(["a", "b", "a"])),
    "images": zipped({"a/1.png": image(1), "b/2.gif": image(2, kind="GIF"), "b/3.jpg": image(3, kind="JPEG")}),
    "gzip": gzip.compress(b"a,b\n1,2\n"),
}
CELLS = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
)


def described(content: bytes, **fields: Any) -> dict[str, Any] | None:
    """The dataset that bytes make, whose files are whole; None where they are refused."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            description = parsed(Path(folder), content, **fields)
        except FitserveError:
            return None
        assert description["rows"] > 0
        for path in description["files"].values():
            assert Path(path).stat().st_size > 0
        json.dumps(description, allow_nan=True)
        return description


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    described(content)


@pytest.mark.parametrize("seed", SEEDS)
@FUZZ
@given(data=st.data())
def test_files_with_a_few_wrong_bytes(seed: str, data: st.DataObject) -> None:
    described(damaged(SEEDS[seed], data))


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """The content with a few other bytes, perhaps cut off."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed[: len(changed) - data.draw(st.integers(0, 10))])


@pytest.mark.parametrize("seed", ["npy", "csv", "PNG", "GIF", "JPEG"])
@FUZZ
@given(data=st.data())
def test_whole_archives_of_files_with_a_few_wrong_bytes(seed: str, data: st.DataObject) -> None:
    """The checksums of an archive would hide its members from bytes that are wrong inside of it."""
    wrong = damaged(SEEDS[seed] if seed in SEEDS else image(5, kind=seed), data)
    if seed == "npy":
        described(zipped({"x.npy": wrong, "y.npy": SEEDS["npy"]}))
    elif seed == "csv":
        described(gzip.compress(wrong))
    else:
        described(zipped({"a/1.png": wrong, "b/2.png": image(1)}))


@FUZZ
@given(
    st.sampled_from(["<f8", "<i4", "|b1", "<U3", "|O", "|V8", "<M8[D]", ">f2", "<c16", "|S5", "<f99", "x", ""]),
    st.lists(st.integers(-2, 5) | st.sampled_from([2**31, 2**63, 2**64, 10**30]), max_size=70),
    st.booleans(),
    st.binary(max_size=100),
    st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"]),
)
def test_arrays_with_any_header(dtype: str, shape: list[int], is_fortran: bool, content: bytes, version: bytes) -> None:
    header = repr({"descr": dtype, "fortran_order": is_fortran, "shape": tuple(shape)}).encode()
    length = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    described(b"\x93NUMPY" + version + length + header + content)


@FUZZ
@given(st.lists(st.text(st.sampled_from("ab;=\"'\\ é\0/.")) | st.sampled_from(["name", "file", "target"]), max_size=4), st.data())
def test_any_form_with_a_few_wrong_bytes(names: list[str], data: st.DataObject) -> None:
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n{name}\r\n'
        if data.draw(st.booleans())
        else f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{name}\r\n'
        for name in names
    ]
    content = damaged("".join([*parts, "--edge--\r\n"]).encode(), data)
    pieces = data.draw(st.integers(1, 50))

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(content), pieces):
            yield content[start : start + pieces]

    with tempfile.TemporaryDirectory() as folder, suppress(FitserveError):
        form = asyncio.run(read_form("multipart/form-data; boundary=edge", body(), Path(folder, "upload"), FORM_FIELDS))
        assert set(form.fields) <= FORM_FIELDS


@pytest.mark.parametrize("format_", ["csv", "json", "parquet", "npy", "npz", "images"])
@FUZZ
@given(content=st.sampled_from(list(SEEDS.values())) | st.binary(max_size=50))
def test_a_file_that_is_read_as_something_else(format_: Any, content: bytes) -> None:
    described(content, format=format_)


@FUZZ
@given(st.text(st.sampled_from('ab1.,;\t|"\r\n é'), max_size=200), st.integers(1, 40))
def test_any_text_of_a_csv_in_blocks_of_any_size(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks.read_blocks, "__defaults__", (size,))
        in_blocks = described(text.encode(), format="csv")
    at_once = described(text.encode(), format="csv")
    assert (in_blocks is None) == (at_once is None)
    if in_blocks is not None and at_once is not None:
        assert (in_blocks["rows"], in_blocks["columns"]) == (at_once["rows"], at_once["columns"])


@FUZZ
@example([{"a": 2**53 + 1}, {"a": 0.5}])
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "ü"]), CELLS), min_size=1, max_size=20))
def test_rows_of_json_that_are_accepted_come_back(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = rows_of(parsed(Path(folder), json.dumps(rows), file_name="rows.json"))
        except FitserveError:
            return
    names = {name for row in rows for name in row}
    assert found == [{name: row.get(name) for name in names} for row in rows]


@FUZZ
@given(st.dictionaries(st.text(max_size=10), st.binary(max_size=40) | st.sampled_from([npy(np.zeros(2)), image(1)]), max_size=4))
def test_archives_with_any_names(members: dict[str, bytes]) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name or "x")
            if entry.filename not in archive.namelist():
                archive.writestr(entry, content)
    described(file.getvalue())


def test_the_seeds_are_datasets() -> None:
    assert all(described(content) for content in SEEDS.values())
    assert pa.parquet.read_table(io.BytesIO(SEEDS["parquet"])).num_rows == 3
