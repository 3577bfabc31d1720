from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.infra.npy import release_pages
from service.spec.frames import DatasetFiles
from service.training import reading
from service.training.reading import Dataset, Table, load
from tests.unit.training.conftest import store_arrays

ROWS = 10
LARGE = 2**53 + 1
COLUMNS = {
    "number": [0.5, None, 1.5, float("nan"), -2.0] * 2,
    "integer": [1, 2, 3, 4, None] * 2,
    "whole": list(range(ROWS)),
    "large": [None, LARGE, LARGE - 1, -LARGE, 0] * 2,
    "huge": [2**63 - 1] * ROWS,
    "text": ["a", None, "b", "a", "ä"] * 2,
    "boolean": [True, False, None, True, True] * 2,
    "certain": [True, False] * 5,
    "decimal": pa.array([Decimal("1.25"), None] * 5, pa.decimal128(5, 2)),
    "nothing": pa.nulls(ROWS),
    "name.with.dots": [1.0] * ROWS,
    "name": [2.0] * ROWS,
}


@pytest.fixture(params=[ROWS, 4, 3])
def table(request, tmp_path, monkeypatch) -> Dataset:
    """Row groups of several sizes, which are no multiples of a block."""
    monkeypatch.setattr(reading, "BLOCK_ROWS", 4)
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pa.table(COLUMNS), path, row_group_size=request.param, compression="zstd")
    return load(DatasetFiles(kind="table", files={"table": str(path)}))


def as_list(values: np.ndarray) -> list:
    """Python values, with None for what is missing."""
    return [None if value is None or value != value else value for value in values.tolist()]


def test_every_row_of_a_table_is_read_once_and_in_order(table):
    blocks = list(table.blocks(["whole", "text"]))
    assert len(blocks) > 1
    assert np.concatenate([block["whole"] for block in blocks]).tolist() == list(range(ROWS))
    assert (table.kind, table.rows, list(table.columns)) == ("table", ROWS, list(COLUMNS))


@pytest.mark.parametrize("name", COLUMNS)
def test_blocks_have_the_values_of_the_whole_column(table, name):
    whole = as_list(table.columns[name])
    assert len(whole) == ROWS
    assert [value for block in table.blocks([name]) for value in as_list(block[name])] == whole


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("number", [0.5, None, 1.5, None, -2.0]),
        ("integer", [1, 2, 3, 4, None]),
        ("large", [None, LARGE, LARGE - 1, -LARGE, 0]),
        ("huge", [2**63 - 1] * 5),
        ("text", ["a", None, "b", "a", "ä"]),
        ("boolean", [True, False, None, True, True]),
        ("decimal", [1.25, None, 1.25, None, 1.25]),
        ("nothing", [None] * 5),
        ("name.with.dots", [1.0] * 5),
        ("name", [2.0] * 5),
    ],
)
def test_values_and_missing_ones_are_read_as_they_were_stored(table, name, first):
    assert as_list(table.columns[name])[:5] == first


def test_the_kinds_are_those_that_a_plan_is_fitted_on(table):
    kinds = {name: table.columns[name].dtype.kind for name in COLUMNS}
    assert {name for name in kinds if kinds[name] == "f"} == {"number", "integer", "decimal", "name", "name.with.dots"}
    assert {name for name in kinds if kinds[name] == "O"} == {"large", "text", "boolean", "nothing"}
    assert (kinds["whole"], kinds["huge"], kinds["certain"]) == ("i", "i", "b")


def test_dictionaries_and_large_texts_are_read_as_texts(tmp_path):
    columns = {
        "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
        "large": pa.array(["a", None, "b"], pa.large_string()),
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "table.parquet")
    table = Table(tmp_path / "table.parquet")
    for name in columns:
        assert table.columns[name].tolist() == ["a", None, "b"]


def test_an_unknown_column_is_a_missing_key(table):
    assert "nobody" not in table.columns
    with pytest.raises(KeyError):
        table.columns["nobody"]


def test_asking_whether_there_is_a_column_reads_nothing(tmp_path):
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pa.table({"x": np.arange(1000)}), path, compression="none")
    table = Table(path)
    damage(path)
    assert "x" in table.columns
    with pytest.raises(OSError, match=r"[Tt]hrift|page"):
        table.columns["x"]


def damage(path: Path) -> None:
    """Make everything but the ends of a Parquet file unreadable."""
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 1000 + content[1004:])


def test_arrays_are_read_in_blocks_of_all_their_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK_ROWS", 4)
    x, y = np.arange(60).reshape(10, 2, 3), np.arange(10) % 2
    arrays = load(store_arrays(tmp_path, x=x, y=y))
    blocks = [{name: np.array(block[name]) for name in block} for block in arrays.blocks(["x", "y"])]
    assert (arrays.kind, arrays.rows, [len(block["x"]) for block in blocks]) == ("arrays", 10, [4, 4, 2])
    assert (np.concatenate([block["x"] for block in blocks]) == x).all()
    assert (np.concatenate([block["y"] for block in blocks]) == y).all()


def test_released_pages_are_read_again_from_the_file(tmp_path):
    x = np.arange(100_000)
    mapped = load(store_arrays(tmp_path, x=x)).columns["x"]
    assert (mapped == x).all()
    release_pages([mapped, x])
    assert (mapped == x).all()
