"""Stored rows encode as the rows of a request do, and what a request is refused for costs a block one row."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from service.features.blocks import EncodedBlock, encode_block
from service.features.encoding import columns_of
from service.features.fitting import fit_array_plan, fit_table_plan
from service.features.notes import Notes
from service.features.plan import ArrayInput, FeaturePlan
from service.features.requests import RequestEncoder
from service.features.roles import assign_roles
from service.spec.compile import CompileSpec
from service.spec.features import FeaturesSpec
from service.training.reading import raw_column

FEATURES = {
    "columns": {
        "grade": {"type": "category"},
        "note": {"type": "text", "max_words": 5},
        "written": {"type": "datetime"},
    }
}
TABLE = pa.table(
    {
        "age": [30.0, None, 41.5, 52.0],
        "rank": [1, 2, 3, None],
        "member": [True, False, None, True],
        "city": ["Ulm", "Rome", None, "Ulm"],
        "grade": [1, 2, 1, 3],
        "day": pa.array([date(2026, 1, 1), None, date(1955, 2, 3), date(2026, 1, 4)]),
        "met": pa.array(
            [datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 2, 11, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")
        ),
        "written": ["2026-01-31", "2026-02-01T10:00:00Z", None, "2026-03-01"],
        "note": ["it rains", None, "it shines", "rain or shine"],
        "y": [1.0, 2.0, 3.0, 4.0],
    }
)


def planned(inputs: list[str] | None = None, wanted: dict[str, list[str]] | None = None) -> FeaturePlan:
    columns = {name: raw_column(TABLE.column(name)) for name in TABLE.column_names}
    losses = CompileSpec.model_validate({"optimizer": "sgd", "loss": "mse"}).losses(["output"])
    roles = assign_roles("table", list(columns), inputs or ["input"], ["output"], "y", wanted or {})
    return fit_table_plan(columns, FeaturesSpec.model_validate(FEATURES), roles, losses, np.ones(len(TABLE), bool)).plan


def encoded(plan: FeaturePlan, start: int = 0, **changes: Any) -> EncodedBlock:
    """The table with other columns in the place of some of its own."""
    table = pa.table({name: changes.get(name, TABLE.column(name)) for name in TABLE.column_names})
    names = {column.column for column in columns_of(plan)}
    return encode_block(plan, {name: raw_column(table.column(name)) for name in names}, start)


def as_request(table: pa.Table) -> list[dict[str, Any]]:
    """The rows as a client would send them."""
    rows: list[dict[str, Any]] = table.drop_columns(["y"]).to_pylist()
    return [{name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()} for row in rows]


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [(["input"], {}), (["words", "others"], {"words": ["note"]}), (["a", "b"], {"a": ["age", "city"], "b": ["city", "met"]})],
)
def test_columns_of_every_kind_become_the_very_tensors_of_a_request(inputs, wanted):
    plan = planned(inputs, wanted)
    block = encoded(plan)
    tensors, warnings = RequestEncoder(plan).encode_rows(as_request(TABLE))
    assert [tensor.tobytes() for tensor in block.tensors] == [tensor.tobytes() for tensor in tensors]
    assert block.is_usable.all()
    assert (block.notes.sentences(), warnings) == ([], [])


@pytest.mark.parametrize("kind", [pa.string(), pa.float64(), pa.null(), pa.bool_(), pa.date32()])
def test_a_column_without_any_value_is_missing_whatever_its_type(kind):
    plan = planned()
    missing = {column.column: pa.nulls(len(TABLE), kind) for column in columns_of(plan)}
    rows = [{column.column: None for column in columns_of(plan)} for _ in range(len(TABLE))]
    (tensor,), _ = RequestEncoder(plan).encode_rows(rows)
    assert encoded(plan, **missing).tensors[0].tobytes() == tensor.tobytes()


def test_a_text_that_is_no_date_and_a_number_too_large_cost_their_rows_alone():
    changes = {"written": pa.array(["2026-01-31", "soon", None, "2026-03-01"]), "age": pa.array([30.0, None, 1e300, 52.0])}
    whole, block = encoded(planned()), encoded(planned(), start=100, **changes)
    assert block.is_usable.tolist() == [True, False, False, True]
    assert np.isfinite(block.tensors[0]).all()
    assert block.tensors[0][[0, 3]].tobytes() == whole.tensors[0][[0, 3]].tobytes()
    sentences = block.notes.sentences()
    assert any("'written': 1 row with a text that is no date, such as 'soon'" in sentence for sentence in sentences)
    assert any("'age': 1 row with a number that is too large, such as row 102" in sentence for sentence in sentences)


def test_unseen_and_far_values_are_counted_and_not_told_one_by_one():
    block = encoded(planned(), city=pa.array(["Bonn", "Oslo", None, "Ulm"]), age=pa.array([30.0, None, 4000.0, -900.0]))
    assert block.is_usable.all()
    unseen, far = sorted(block.notes.sentences(), key=lambda sentence: "far" in sentence)
    assert unseen == "Column 'city': 2 rows with a value that was not seen in training, such as 'Bonn'; it counts as unknown."
    assert far == "Column 'age': 2 rows with a number far outside of the training range, such as 4000.0."


def test_arrays_become_the_very_tensors_of_a_request_and_overflow_costs_one_row():
    values = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    losses = CompileSpec.model_validate({"optimizer": "sgd", "loss": "mse"}).losses(["output"])
    arrays = {"x": values, "y": np.arange(5.0)}
    roles = assign_roles("arrays", ["x", "y"], ["input"], ["output"], "y", {})
    features = FeaturesSpec.model_validate({"arrays": {"x": {"scale": "standardize"}}})
    plan = fit_array_plan(arrays, features, roles, losses, np.ones(5, bool)).plan
    block = encode_block(plan, {"x": values}, 0)
    assert block.tensors[0].tobytes() == RequestEncoder(plan).encode_rows(values.tolist())[0][0].tobytes()
    tiny = FeaturePlan(
        inputs=[ArrayInput(name="i", array="x", shape=[2], dtype="float32", offset=[0.0], divisor=[1e-30])], targets=plan.targets
    )
    block = encode_block(tiny, {"x": np.array([[0, 0], [1e30, 0]], np.float32)}, 7)
    assert block.is_usable.tolist() == [True, False]
    assert block.notes.sentences() == ["'x': 1 row with a number that is too large, such as row 8; they have no prediction."]


def test_notes_of_several_blocks_add_up_also_through_a_file():
    notes = Notes()
    for start in (0, 10):
        later = Notes()
        later.add_rows("not_finite", "", start, np.array([False, True]))
        notes.add(Notes.from_json(later.as_json()))
    (sentence,) = notes.sentences()
    assert sentence.startswith("The model gave numbers that are not finite for 2 rows, such as row 1;")


def test_very_many_warnings_are_cut_short():
    notes = Notes()
    for number in range(30):
        notes.add_cells("unseen", f"c{number}", np.array(["x"], object), np.array([True]))
    sentences = notes.sentences()
    assert len(sentences) == 21
    assert sentences[-1] == "There are 10 more warnings of this kind."
