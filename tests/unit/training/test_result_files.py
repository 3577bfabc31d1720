import csv
import errno
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from service.features.answers import AnswerColumn
from service.infra.disk import is_full_disk
from service.training import result_files
from service.training.arrow import answer_as_arrow
from service.training.result_files import open_result


def written(folder: Path, form: Any, *batches: pa.RecordBatch) -> bytes:
    result = open_result(folder / "result", batches[0].schema, form)
    for batch in batches:
        result.write(batch)
    result.finish()
    return (folder / "result").read_bytes()


def csv_rows(folder: Path, **columns: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written(folder, "csv", pa.record_batch(columns)).decode(), newline="")))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_text_that_a_spreadsheet_would_compute_has_an_apostrophe_in_csv(text, tmp_path):
    assert csv_rows(tmp_path, **{text: [text, "1=1", "", None]}) == [[f"'{text}"], [f"'{text}"], ["1=1"], [""], [""]]


def test_a_row_of_nothing_is_no_empty_line_in_csv(tmp_path):
    for values in ([1.5, None], [[1.0, 2.0], None], ["a", None]):
        table = pyarrow.csv.read_csv(io.BytesIO(written(tmp_path, "csv", pa.record_batch({"value": values}))))
        assert table.num_rows == 2


def test_numbers_dates_and_lists_are_left_alone_in_csv(tmp_path):
    moment = datetime(2026, 1, 31, 18, tzinfo=UTC)
    columns = {
        "number": [-1.5, None, 1e-7],
        "whole": [-3, 2, None],
        "flag": [True, False, None],
        "day": [date(2026, 1, 31), None, None],
        "moment": [moment, None, None],
        "list": [[-1.0, 2.5], None, []],
        "labels": [["=a", 'b"c'], [], None],
        "nothing": pa.nulls(3),
    }
    head, first, second, third = csv_rows(tmp_path, **columns)
    assert head == list(columns)
    assert first == ["-1.5", "-3", "true", "2026-01-31", "2026-01-31 18:00:00.000000Z", "[-1.0,2.5]", '["=a","b\\"c"]', ""]
    assert second == ["", "2", "false", "", "", "", "[]", ""]
    assert third == ["1e-7", "", "", "", "", "[]", "", ""]


def test_the_bytes_do_not_depend_on_how_the_rows_lie_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(result_files, "ROW_GROUP_BYTES", 2000)
    texts = [None if number % 7 == 0 else f"text {number % 13}" for number in range(400)]
    whole = pa.record_batch({"t": texts, "n": np.arange(400.0), "l": [[1.0, 2.0]] * 400})
    fresh = [whole.slice(start, 40) for start in range(0, 400, 40)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        for batch in fresh:
            stream.write_batch(batch)
    again = list(pa.ipc.open_stream(sink.getvalue()))
    for form in ("parquet", "csv"):
        assert written(tmp_path, form, *fresh) == written(tmp_path, form, *again)
    assert pyarrow.parquet.ParquetFile(io.BytesIO(written(tmp_path, "parquet", *fresh))).num_row_groups > 3
    assert pyarrow.parquet.read_table(io.BytesIO(written(tmp_path, "parquet", *fresh))) == pa.Table.from_batches([whole])


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_full_disk_is_known_as_one(form, tmp_path):
    (tmp_path / "result").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        written(tmp_path, form, pa.record_batch({"n": np.random.default_rng(0).random(200_000)}))
    assert caught.value.errno == errno.ENOSPC
    assert is_full_disk(caught.value)


@pytest.mark.parametrize(
    ("answer", "column"),
    [
        (AnswerColumn("value", np.array([1.5, 2.5], np.float32)), [1.5, None]),
        (AnswerColumn("value", np.array([[1, 2], [3, 4]], np.float32)), [[1.0, 2.0], None]),
        (AnswerColumn("value", np.arange(8.0).reshape(2, 2, 2)), [[[0.0, 1.0], [2.0, 3.0]], None]),
        (AnswerColumn("label", np.array([1, 0]), ["no", "yes"]), ["yes", None]),
        (AnswerColumn("label", np.array([1, 0]), [5, 7]), [7, None]),
        (AnswerColumn("label", np.array([0, 1]), [False, True]), [False, None]),
        (AnswerColumn("label", np.array([1, 0]), [False, "maybe"]), ["maybe", None]),
        (AnswerColumn("labels", np.array([[True, True], [True, False]]), ["a", "b"]), [["a", "b"], None]),
    ],
)
def test_a_row_without_a_prediction_is_null_in_every_part_of_an_answer(answer, column):
    assert answer_as_arrow(answer, np.array([True, False])).to_pylist() == column
