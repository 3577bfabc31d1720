"""Parquet files, and what every table has in common."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from service.datasets.parsing.request import ParseRequest
from service.datasets.reading import read_rows
from service.errors import FitserveError, InvalidInput
from tests.unit.datasets.making import parquet, parsed, rows_of, types_of

DAY = datetime.date(2024, 2, 29)
MOMENT = datetime.datetime.fromisoformat("2024-02-29T12:30:15.250")


def test_the_types_of_parquet_become_those_of_a_table(tmp_path: Path) -> None:
    table = {
        "small": pa.array([1, None], pa.int8()),
        "half": pa.array([0.5, float("nan")], pa.float32()),
        "decimal": pa.array([1, 2], pa.decimal128(5, 2)),
        "flag": [True, False],
        "word": ["x", None],
        "large": pa.array(["x", "y"], pa.large_string()),
        "coded": pa.array(["u", "v"]).dictionary_encode(),
        "day": [DAY, None],
        "moment": pa.array([MOMENT, None], pa.timestamp("ns")),
        "zoned": pa.array([MOMENT, None], pa.timestamp("ms", "Europe/Berlin")),
        "time": [datetime.time(1, 2, 3), None],
        "empty": pa.nulls(2),
    }
    description = parsed(tmp_path, parquet(table))
    assert types_of(description) == {
        "small": "integer", "half": "number", "decimal": "number", "flag": "boolean", "word": "category", "large": "category",
        "coded": "category", "day": "datetime", "moment": "datetime", "zoned": "datetime", "time": "category", "empty": "number",
    }  # fmt: skip
    first, second = read_rows(Path(description["files"]["table"]), 0, 10)
    assert first["moment"] == "2024-02-29T12:30:15.250000"
    assert first["zoned"] == "2024-02-29T12:30:15.250000+00:00"
    assert (first["day"], first["decimal"], first["coded"]) == ("2024-02-29", 1.0, "u")
    assert second["half"] is None, "NaN is a missing value"


def test_rows_are_found_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(parquet({"n": list(range(1000))}, row_group_size=70))
    for start in (0, 69, 70, 555, 999, 1000):
        assert [row["n"] for row in read_rows(path, start, 3)] == list(range(1000))[start : start + 3]


def test_a_page_of_large_rows_is_short(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(parquet({"text": ["x" * 3_000_000] * 5}))
    assert len(read_rows(path, 0, 5)) == 1
    assert len(read_rows(path, 4, 5)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(parquet({"a": [[1], [2]]}), "list", id="lists"),
        pytest.param(parquet({"a": [{"b": 1}]}), "struct", id="structs"),
        pytest.param(parquet({"a": [b"\xff"]}), "binary", id="bytes"),
        pytest.param(parquet({"a": pa.array([], pa.int64())}), "no rows", id="no rows"),
        pytest.param(parquet({}), "no columns", id="no columns"),
        pytest.param(parquet({"a": [float("inf")]}), "infinity", id="infinity"),
        pytest.param(parquet({"a": ["x\0y"]}), "U+0000", id="a zero character"),
        pytest.param(parquet({" ": [1]}), "name", id="no name"),
        pytest.param(parquet({"a": pa.array([2**61], pa.timestamp("ms"))}), "time", id="a time that is far away"),
        pytest.param(parquet({"a": pa.array([-(2**61)], pa.timestamp("us"))}), "years", id="a time before the first year"),
        pytest.param(parquet({"a": [1, 2, 3]})[:-9], "damaged", id="cut off"),
        pytest.param(b"PAR1" + b"\0" * 100 + b"PAR1", "damaged", id="nothing inside"),
        pytest.param(parquet({"a": pa.array(["x" * 10_000] * 20_000)}), "expands too far", id="bomb"),
        pytest.param(b"ARROW1\0\0" + b"\0" * 50, "Feather", id="Feather"),
        pytest.param(b"\x80\x04\x95" + b"\0" * 50, "pickle", id="pickle"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "HDF5", id="HDF5"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FitserveError) as raised:
        parsed(tmp_path, content)
    assert message in raised.value.message + str(getattr(raised.value, "problems", ""))


@pytest.mark.parametrize(
    ("limit", "message"),
    [({"max_rows": 2}, "too many rows"), ({"max_columns": 1}, "too many columns"), ({"max_cells": 5}, "too large")],
)
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"a,b\n1,2\n3,4\n5,6\n", id="CSV"),
        pytest.param(b'{"a": 1, "b": 2}\n' * 3, id="JSON"),
        pytest.param(parquet({"a": [1, 2, 3], "b": [1, 2, 3]}), id="Parquet"),
    ],
)
def test_every_form_keeps_the_limits(tmp_path: Path, content: bytes, limit: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parsed(tmp_path, content, **limit)
    assert len(rows_of(parsed(tmp_path, content))) == 3


@pytest.mark.parametrize(
    ("file_name", "content", "format_"),
    [
        ("data.csv", b'{"a": 1}\n2\n', None),
        ("data.json", b' [ {"{""a"": 1}": 2} ]'.replace(b'""', b"'"), None),
        ("", b' [ {"{a: 1}": 2} ]', None),
        ("data.bin", b"{a: 1}\n2\n", "csv"),
    ],
)
def test_a_form_is_recognised_by_content_then_name_and_can_be_forced(
    tmp_path: Path, file_name: str, content: bytes, format_: Any
) -> None:
    [row] = rows_of(parsed(tmp_path, content, file_name=file_name, format=format_))
    assert len(row) == 1
    assert next(iter(row.values())) == 2


def test_a_request_reads_as_it_was_written() -> None:
    request = ParseRequest.from_document({"path": "/x/upload", "format": "csv", "image_size": [2, 3]})
    assert (request.beside("table"), request.image_size) == (Path("/x/table"), (2, 3))
