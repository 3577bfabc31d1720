"""What is encoded of a dataset, how it is split, and what is refused."""

import json

import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.encoding import encode_columns, encode_target
from service.training import reading
from service.training.examples import Examples, encode_rows_of
from service.training.reading import load
from tests.planning import encode_one, plan_table, table_of
from tests.unit.training.conftest import store_table
from tests.unit.training.tables import (
    BINARY,
    CATEGORICAL,
    FEATURES,
    ROWS,
    SPARSE,
    SQUARED,
    TABLE,
    encoded,
    refusal,
    stored,
    wanted,
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_ROWS", 3)


# What is written


@pytest.mark.parametrize("split", ["last", "random", "stratified"])
@pytest.mark.parametrize("loss", [SPARSE, CATEGORICAL])
def test_the_files_are_what_encoding_the_whole_table_gives(split, loss, tmp_path):
    wish = wanted("sick", loss, FEATURES, validation_split=0.3, split=split)
    examples = encoded(tmp_path, wish)
    columns = dict(load(store_table(tmp_path, TABLE)).columns)
    x, y = encode_columns(table_of(examples.plan), columns), encode_target(examples.targets[0], columns["sick"])
    ranks = [np.rint(part.inputs[0][:, 1] * rank_width(examples) + rank_offset(examples)) for part in parts(examples)]
    for part, rows in zip(parts(examples), ranks, strict=True):
        assert (part.inputs[0] == x[rows.astype(int)]).all()
        assert (part.targets[0] == y[rows.astype(int)]).all()
        assert (np.diff(rows) > 0).all()
    assert sorted(np.concatenate(ranks)) == list(range(ROWS))
    assert (examples.train.rows, examples.validation.rows) == (14, 6)


def parts(examples: Examples) -> list:
    return [examples.train, examples.validation]


def rank_width(examples: Examples) -> float:
    return table_of(examples.plan).columns[1].divisor


def rank_offset(examples: Examples) -> float:
    return table_of(examples.plan).columns[1].offset


@pytest.mark.parametrize("split", ["last", "random"])
def test_the_plan_is_that_of_the_training_rows_alone(split, tmp_path):
    wish = wanted("sick", SPARSE, FEATURES, validation_split=0.3, split=split)
    examples = encoded(tmp_path, wish)
    rows = np.rint(examples.train.inputs[0][:, 1] * rank_width(examples) + rank_offset(examples)).astype(int)
    columns = dict(load(store_table(tmp_path, TABLE)).columns)
    of_training_rows = plan_table(
        {name: values if name == "sick" else values[rows] for name, values in columns.items()},
        wish.features, "sick", wish.losses["output"], np.ones(len(rows), bool),
    )  # fmt: skip
    assert examples.plan == of_training_rows.plan
    assert examples.about.chosen == of_training_rows.chosen


@pytest.mark.parametrize("split", ["last", "random"])
def test_the_raw_rows_are_a_request_that_gives_the_first_training_rows(split, tmp_path):
    examples = encoded(tmp_path, wanted("sick", SPARSE, FEATURES, validation_split=0.3, split=split))
    rows, warnings = encode_one(examples.plan, json.loads(json.dumps(examples.about.raw)))
    assert warnings == []
    assert (rows == examples.train.inputs[0][:2]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, bool])
def test_the_raw_rows_of_an_array_are_a_request_too(dtype, tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (8, 2, 3)).astype(dtype)
    examples = encoded(tmp_path, wanted("y", BINARY), x=x, y=np.arange(8) % 2)
    rows, _ = encode_one(examples.plan, json.loads(json.dumps(examples.about.raw)))
    assert (rows == x[:2]).all()
    assert (examples.train.inputs[0] == x).all()


def test_a_second_folder_of_the_same_wish_has_the_same_bytes(tmp_path):
    wish = wanted("sick", SPARSE, FEATURES, validation_split=0.3, split="stratified")
    for name in ("one", "two"):
        encoded(tmp_path / name, wish)
    one, two = (sorted((tmp_path / name / "encoded").iterdir()) for name in ("one", "two"))
    assert [path.name for path in one] == ["about.json", "x.npy", "x_val.npy", "y.npy", "y_val.npy"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_integers_that_float32_rounds_are_told(tmp_path):
    x = np.array([[1], [2**24 + 1]] * 4, dtype=np.int32)
    assert "16,777,216" in encoded(tmp_path / "large", wanted("y", BINARY), x=x, y=np.arange(8) % 2).about.warnings[0]
    assert encoded(tmp_path / "small", wanted("y", BINARY), x=x % 2**24, y=np.arange(8) % 2).about.warnings == []


# Splits


@pytest.mark.parametrize("loss", [SPARSE, CATEGORICAL])
def test_a_stratified_split_of_one_hot_rows_keeps_their_proportions(loss, tmp_path):
    places = np.repeat([0, 1, 2], [10, 6, 4])
    y = np.eye(3, dtype=np.float32)[places] if loss == CATEGORICAL else places
    wish = wanted("y", loss, validation_split=0.5, split="stratified")
    examples = encoded(tmp_path, wish, x=np.arange(20.0), y=y)
    validation = examples.validation.targets[0].argmax(axis=1) if loss == CATEGORICAL else examples.validation.targets[0][:, 0]
    assert np.bincount(validation).tolist() == [5, 3, 2]


def test_a_stratified_split_is_refused_for_numbers(tmp_path):
    error = refusal(tmp_path, wanted("age", SQUARED, validation_split=0.2, split="stratified"), age=[1.0, 2.0] * 5, x=[3, 4] * 5)
    assert "Use split 'random'" in error.message


@pytest.mark.parametrize("target", [None, "nobody"])
def test_a_stratified_split_without_a_target_asks_for_the_target(target, tmp_path):
    assert refusal(tmp_path, wanted(target, SPARSE, validation_split=0.2, split="stratified")).problems[0].pointer == "/target"


def test_a_stratified_split_names_missing_classes_as_such(tmp_path):
    columns = TABLE | {"sick": ["no", "yes", None, "yes"] * 5}
    error = refusal(tmp_path, wanted("sick", BINARY, validation_split=0.2, split="stratified"), **columns)
    assert "5 of its 20 rows have no value" in error.message


# Validation datasets


def test_a_validation_dataset_is_encoded_by_the_plan_of_the_training_rows(tmp_path):
    other = {name: values[:8] for name, values in TABLE.items()} | {"age": [100.0] * 8, "city": ["Oslo"] * 8}
    examples = encoded(tmp_path, wanted("sick", SPARSE, FEATURES), other)
    columns = dict(load(store_table(tmp_path, other)).columns)
    assert (examples.train.rows, examples.validation.rows) == (20, 8)
    assert (examples.validation.inputs[0] == encode_columns(table_of(examples.plan), columns)).all()
    assert examples.plan == encoded(tmp_path / "alone", wanted("sick", SPARSE, FEATURES)).plan


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sick": ["no"] * 6 + ["unwell", "no"]}, "class 'unwell' in row 6 of the validation dataset"),
        ({"sick": ["no"] * 5 + [None] * 3}, "'sick' of the validation dataset has no value in row 5"),
        ({"age": None}, "validation dataset has no column 'age'"),
        ({"sick": None}, "validation dataset has no column 'sick'"),
    ],
)
def test_a_validation_dataset_that_does_not_do_is_refused_with_column_and_row(changes, words, tmp_path):
    other = {name: values[:8] for name, values in TABLE.items()} | changes
    other = {name: values for name, values in other.items() if values is not None}
    error = refusal(tmp_path, wanted("sick", SPARSE, FEATURES), other)
    assert words in error.message
    assert error.problems[0].pointer == "/fit/validation_dataset"
    assert error.problems[0].fix


def test_a_validation_target_without_a_number_is_refused_with_its_row(tmp_path):
    columns = {"x": [1.0, 2.0] * 5, "y": [0.5, 1.5] * 5}
    error = refusal(tmp_path, wanted("y", SQUARED), {"x": [1.0] * 8, "y": [1.0] * 7 + [None]}, **columns)
    assert "'y' of the validation dataset has no finite number in row 7" in error.message


ARRAYS = {"x": np.zeros((6, 2, 3), np.float32), "y": np.arange(6.0)}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"x": np.zeros((6, 3, 2), np.float32), "y": np.arange(6.0)}, r"shape \(3, 2\). Expected \(2, 3\)"),
        (
            {"x": np.zeros((6, 2, 3), np.float32), "y": np.zeros((6, 2))},
            r"'y' of the validation dataset has rows of shape \(2,\)",
        ),
        ({"z": ARRAYS["x"], "y": ARRAYS["y"]}, "validation dataset has no array 'x'"),
        (
            {"x": np.full((6, 2, 3), np.nan, np.float32), "y": np.arange(6.0)},
            "'x' of the validation dataset has no finite number",
        ),
        ({"x": [1.0, 2.0], "y": [1.0, 2.0]}, "holds a table, but the model was fitted with arrays"),
    ],
)
def test_validation_arrays_of_another_form_are_refused(other, words, tmp_path):
    with pytest.raises(InvalidInput, match=words):
        encoded(tmp_path, wanted("y", SQUARED), other, **ARRAYS)


def test_a_table_is_not_validated_with_arrays(tmp_path):
    columns = {"x": [1.0, 2.0] * 5, "y": [0.5, 1.5] * 5}
    error = refusal(tmp_path, wanted("y", SQUARED), {"x": np.zeros(4), "y": np.zeros(4)}, **columns)
    assert "holds arrays, but the model was fitted with a table" in error.message


def test_a_test_dataset_is_refused_with_the_row_of_an_unknown_class(tmp_path):
    examples = encoded(tmp_path, wanted("sick", SPARSE, FEATURES))
    other = stored(tmp_path / "test", **(TABLE | {"sick": ["no"] * 17 + ["unwell"] * 3}))
    (tmp_path / "part").mkdir()
    with pytest.raises(InvalidInput, match="class 'unwell' in row 17 of the dataset"):
        encode_rows_of(other, examples.plan, None, tmp_path / "part")


# Numbers that are none


@pytest.mark.parametrize(("value", "row"), [(np.nan, 4), (np.inf, 0), (-np.inf, 7)])
def test_a_number_that_is_not_finite_in_an_array_is_refused_with_its_row(value, row, tmp_path):
    x = np.zeros((8, 3), np.float32)
    x[row, 1] = value
    assert f"Array 'x' of the dataset has no finite number in row {row}" in refusal(
        tmp_path, wanted("y", BINARY), x=x, y=np.arange(8) % 2
    ).message  # fmt: skip


def test_a_number_too_large_for_float32_in_a_table_is_refused_with_column_and_row(tmp_path):
    columns = {"city": ["Ulm", "Rome"] * 5, "size": [1.0, 2.0] * 4 + [1e300, 1.0], "y": [0, 1] * 5}
    error = refusal(tmp_path, wanted("y", BINARY, validation_split=0.2), **columns)
    assert "Column 'size' of the dataset has no finite number in row 8" in error.message


@pytest.mark.parametrize("bad", [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 5.0, 0.0]])
def test_one_hot_rows_that_do_not_add_up_are_refused_with_their_row(bad, tmp_path):
    y = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    y[5] = bad
    error = refusal(tmp_path, wanted("y", CATEGORICAL), x=np.arange(8.0), y=y)
    assert "row 5 does not add up to 1" in error.message


def test_shares_of_several_classes_are_a_target(tmp_path):
    y = np.array([[0.25, 0.75], [1.0, 0.0]] * 4, np.float32)
    assert (encoded(tmp_path, wanted("y", CATEGORICAL), x=np.arange(8.0), y=y).train.targets[0] == y).all()
