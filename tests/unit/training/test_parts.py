from pathlib import Path

import numpy as np
import pyarrow as pa

from service.features.notes import Notes
from service.training.parts import PartWriter, usable_parts

HERE = {"processor": "fast"}


def part(folder: Path, start: int, *lengths: int) -> Path:
    """A part of numbered rows, the second of each batch of which is odd."""
    batches = [pa.record_batch({"n": np.arange(length)}) for length in lengths]
    writer = PartWriter(folder / f"part-{start}.arrow", batches[0].schema, start, HERE)
    for batch in batches:
        notes = Notes()
        notes.add_rows("not_finite", "", start, np.arange(batch.num_rows) == 1)
        writer.write(batch, notes)
    return writer.finish()


def test_a_part_gives_back_its_rows_and_what_was_noted_of_them(tmp_path):
    (found,) = usable_parts([part(tmp_path, 0, 3, 2)])
    assert (found.start, found.rows, found.environment) == (0, 5, HERE)
    batches = list(found.batches())
    assert [batch.num_rows for batch, _ in batches] == [3, 2]
    assert batches[0][0].schema == pa.schema({"n": pa.int64()})
    assert "for 1 row" in batches[1][1].sentences()[0]


def test_parts_count_as_far_as_they_follow_each_other(tmp_path):
    first, second, third = part(tmp_path, 0, 3), part(tmp_path, 3, 3), part(tmp_path, 6, 3)
    assert [found.start for found in usable_parts([first, second, third])] == [0, 3, 6]
    assert [found.start for found in usable_parts([first, third])] == [0]
    assert usable_parts([second, third]) == []


def test_a_damaged_part_leaves_out_what_comes_after_it_until_it_is_done_again(tmp_path):
    first, second, third = part(tmp_path, 0, 3), part(tmp_path, 3, 3), part(tmp_path, 6, 3)
    content = second.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"x" * len(content)):
        second.write_bytes(damaged)
        assert [found.start for found in usable_parts([first, second, third])] == [0]
    (tmp_path / "again").mkdir()
    again = part(tmp_path / "again", 3, 4)
    assert [(found.start, found.rows) for found in usable_parts([first, second, third, again])] == [(0, 3), (3, 4)]
