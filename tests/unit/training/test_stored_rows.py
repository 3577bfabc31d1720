from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.spec.frames import DatasetFiles
from service.training.stored_rows import StoredRows, open_rows
from tests.unit.training.conftest import store_arrays

ROWS = 23


def table(folder: Path) -> StoredRows:
    columns = {"n": list(range(ROWS)), "t": [f"text {number}" for number in range(ROWS)]}
    pyarrow.parquet.write_table(pa.table(columns), folder / "table.parquet", row_group_size=7)
    return open_rows(DatasetFiles(kind="table", files={"table": str(folder / "table.parquet")}))


def arrays(folder: Path) -> StoredRows:
    numbers = np.arange(ROWS, dtype=np.int32)
    files = store_arrays(folder, n=numbers, t=numbers % 2, wide=np.repeat(numbers, 2).reshape(ROWS, 2).astype(np.float32))
    return open_rows(DatasetFiles(kind="arrays", files=files.files, classes={"t": ["even", "odd"]}))


@pytest.mark.parametrize("stored", [table, arrays])
@pytest.mark.parametrize("start", [0, 5, 10, 20, ROWS])
def test_blocks_have_their_length_from_whatever_row_they_begin(stored, start, tmp_path):
    blocks = list(stored(tmp_path).blocks(["n"], ["t"], 5, start))
    assert [block.start for block in blocks] == list(range(start, ROWS, 5))
    assert [number for block in blocks for number in block.raw["n"].tolist()] == list(range(start, ROWS))
    assert all(len(block.carried[0]) == len(block.raw["n"]) for block in blocks)


def test_columns_are_carried_over_as_they_are_stored(tmp_path):
    assert table(tmp_path).rows == ROWS
    (block,) = table(tmp_path).blocks(["n"], ["t", "n"], ROWS, 0)
    assert block.carried[0].to_pylist()[:2] == ["text 0", "text 1"]
    assert block.carried[1].type == pa.int64()


def test_arrays_are_carried_over_as_lists_and_classes_by_their_names(tmp_path):
    assert arrays(tmp_path).rows == ROWS
    block = next(arrays(tmp_path).blocks(["n"], ["t", "wide", "n"], 3, 0))
    assert [column.to_pylist() for column in block.carried] == [
        ["even", "odd", "even"], [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], [0, 1, 2],
    ]  # fmt: skip


def test_what_is_carried_of_a_row_has_a_size(tmp_path):
    assert table(tmp_path).row_bytes(["t", "n"]) == 16
    assert arrays(tmp_path).row_bytes(["wide", "n"]) == 12
