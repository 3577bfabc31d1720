import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.features import encoding
from service.features.encoding import encode_columns, encode_target
from service.features.plan import (
    ArrayInput,
    CategoryColumn,
    ExcludedColumn,
    FeaturePlan,
    NumberColumn,
    TableInput,
    Target,
    read_plan,
)
from tests.planning import encode_one, table_of

AGE = NumberColumn(column="age", missing=40.0, offset=40.0, divisor=8.0)
SMOKES = NumberColumn(column="smokes", missing=0.5, offset=0.0, divisor=1.0, is_boolean=True)
CITY = CategoryColumn(column="city", vocabulary=["Rome", "Ulm"], encoding="one_hot")
ID = ExcludedColumn(column="id", reason="as you asked")
TARGET = Target(output="output", columns=["sick"], encoding="binary", classes=[0, 1])


def table(*columns) -> FeaturePlan:
    return FeaturePlan(inputs=[TableInput(name="input", columns=list(columns))], targets=[TARGET])


PEOPLE = table(ID, AGE, SMOKES, CITY)
IMAGE = FeaturePlan(inputs=[ArrayInput(name="input", array="x", shape=[2, 2], dtype="float32")], targets=[])


def problems_of(plan: FeaturePlan, rows: list, **keywords):
    with pytest.raises(InvalidInput) as caught:
        encode_one(plan, rows, **keywords)
    return caught.value.problems


def test_objects_and_lists_give_the_same_tensor():
    by_name, _ = encode_one(PEOPLE, [{"city": "Ulm", "age": 48, "smokes": True}])
    by_place, _ = encode_one(PEOPLE, [[48, True, "Ulm"]])
    assert by_name.tolist() == by_place.tolist() == [[1.0, 1.0, 0.0, 0.0, 1.0]]
    assert by_name.dtype == np.float32


def test_the_tensor_does_not_depend_on_how_many_rows_are_scaled_at_once(monkeypatch):
    random = np.random.default_rng(0)
    columns = {"age": np.where(random.random(50) < 0.2, np.nan, random.normal(40, 9, 50)), "smokes": random.random(50) < 0.5}
    columns["city"] = random.choice(np.array(["Rome", "Ulm", None], dtype=object), 50)
    at_once = encode_columns(PEOPLE.table_inputs[0], columns)
    monkeypatch.setattr(encoding, "SCALED_ROWS", 7)
    assert (encode_columns(PEOPLE.table_inputs[0], columns) == at_once).all()
    assert (np.isnan(columns["age"]) == (at_once[:, 0] == 0)).all()


def test_null_counts_as_the_mean_and_as_no_category():
    encoded, warnings = encode_one(PEOPLE, [{"age": None, "smokes": None, "city": None}])
    assert encoded.tolist() == [[0.0, 0.5, 1.0, 0.0, 0.0]]
    assert warnings == []


def test_excluded_columns_and_the_target_may_be_sent():
    _, warnings = encode_one(PEOPLE, [{"id": 7, "sick": 1, "age": 1, "smokes": False, "city": "Rome"}])
    assert warnings == []


def test_an_unknown_key_is_a_warning():
    _, warnings = encode_one(PEOPLE, [{"shoe": 42, "age": 1, "smokes": False, "city": "Rome"}])
    assert warnings == ["'shoe' is no column of this model and was ignored."]


def test_an_unseen_category_takes_place_zero_and_is_a_warning():
    encoded, warnings = encode_one(PEOPLE, [[1, 0, "Paris"]])
    assert encoded[0, 2:].tolist() == [1.0, 0.0, 0.0]
    assert "'Paris' was not seen in column 'city'" in warnings[0]


def test_a_number_without_variance_becomes_zero():
    encoded, _ = encode_one(table(NumberColumn(column="x", missing=3.0, offset=3.0, divisor=0.0)), [[99]])
    assert encoded.tolist() == [[0.0]]


def test_a_missing_column_names_row_and_column():
    (problem,) = problems_of(PEOPLE, [[1, 0, "Ulm"], {"age": 1, "city": "Ulm"}])
    assert problem.pointer == "/rows/1/smokes"
    assert problem.message == "The row has no 'smokes'."


@pytest.mark.parametrize("value", ["41", True, float("inf"), 10**400, [1], {}])
def test_what_is_no_number_is_refused_where_it_stands(value):
    (problem,) = problems_of(PEOPLE, [{"age": value, "smokes": 0, "city": "Ulm"}], pointer="/instances")
    assert problem.pointer == "/instances/0/age"
    assert problem.expected == "a number"


@pytest.mark.parametrize("value", ["1", True, float("inf"), 10**400, 1e300])
def test_lists_of_plain_numbers_are_checked_as_strictly(value):
    plan = table(AGE, NumberColumn(column="size", missing=0.0, offset=0.0, divisor=1.0))
    (problem,) = problems_of(plan, [[1, 2], [3, value]])
    assert problem.pointer == "/rows/1/1"


def test_nan_is_a_missing_number_as_it_is_in_training():
    encoded, _ = encode_one(PEOPLE, [{"age": float("nan"), "smokes": 0, "city": "Ulm"}])
    as_null, _ = encode_one(PEOPLE, [[None, 0, "Ulm"]])
    assert encoded.tolist() == as_null.tolist()


def test_a_boolean_is_a_number_only_where_training_had_booleans():
    (problem,) = problems_of(PEOPLE, [[True, True, "Ulm"]])
    assert problem.pointer == "/rows/0/0"


def test_pointers_escape_column_names():
    (problem,) = problems_of(table(NumberColumn(column="a/b~", missing=0.0, offset=0.0, divisor=1.0)), [{"a/b~": "x"}])
    assert problem.pointer == "/rows/0/a~1b~0"


@pytest.mark.parametrize("row", [[1], [1, 2, 3, 4], 5, "row", None])
def test_a_row_of_the_wrong_width_or_type_is_refused(row):
    (problem,) = problems_of(PEOPLE, [row])
    assert problem.pointer == "/rows/0"
    assert "age, smokes, city" in problem.expected


def test_no_rows_are_refused():
    assert problems_of(PEOPLE, [])[0].pointer == "/rows"


def test_at_most_twenty_problems_are_told():
    assert len(problems_of(PEOPLE, [["x", "y", []]] * 50)) == 20


def test_arrays_take_nested_lists():
    encoded, _ = encode_one(IMAGE, [[[1, 2], [3, 4.5]]])
    assert encoded.tolist() == [[[1.0, 2.0], [3.0, 4.5]]]


@pytest.mark.parametrize("row", [[[1, 2]], [[1, 2], [3]], [["1", 2], [3, 4]], 5, [[1, 2], [3, None]], [[1, 2], [3, 1e300]]])
def test_arrays_refuse_other_shapes_and_values(row):
    (problem,) = problems_of(IMAGE, [[[0, 0], [0, 0]], row])
    assert problem.pointer == "/rows/1"


@pytest.mark.parametrize(
    ("target", "values", "expected"),
    [
        (TARGET, [1, 0], [[1.0], [0.0]]),
        (Target(output="output", columns=["y"], encoding="index", classes=["a", "b"]), ["b", "a"], [[1], [0]]),
        (Target(output="output", columns=["y"], encoding="one_hot", classes=[3, 5]), [5, 3], [[0.0, 1.0], [1.0, 0.0]]),
        (Target(output="output", columns=["y"], encoding="number"), [2.5, 1.0], [[2.5], [1.0]]),
    ],
)
def test_targets_become_what_the_loss_wants(target, values, expected):
    assert encode_target(target, np.array(values)).tolist() == expected


SIZE = NumberColumn(column="size", missing=0.0, offset=0.0, divisor=1.0, low=0.0, high=16.0)
FLAT = NumberColumn(column="flat", missing=3.0, offset=3.0, divisor=0.0, low=3.0, high=3.0)


@pytest.mark.parametrize("as_row", [lambda size: [size], lambda size: {"size": size}], ids=["list", "object"])
def test_numbers_far_outside_of_the_training_range_are_a_warning(as_row):
    _, warnings = encode_one(table(SIZE), [as_row(size) for size in (-16, 0, 7.5, 32, 900, -17)])
    assert warnings == ["Value 900 of column 'size' is far outside of the training range 0 to 16 (and so are 1 more)."]


def test_a_missing_number_and_one_that_cannot_matter_are_inside_of_the_training_range():
    assert encode_one(table(SIZE, FLAT), [[None, 4], [3, None]])[1] == []
    assert encode_one(table(SIZE, FLAT), [[3, 400]])[1] == []


def test_at_most_twenty_warnings_are_told():
    many = [NumberColumn(column=f"c{i}", missing=0.0, offset=0.0, divisor=1.0, low=0.0, high=1.0) for i in range(30)]
    assert len(encode_one(table(*many), [[9] * 30])[1]) == 20
    _, warnings = encode_one(table(CITY, *many), [[str(row), *[9] * 30] for row in range(30)])
    assert len(warnings) == 20


numbers = st.none() | st.floats(-1e9, 1e9) | st.integers(-(2**53), 2**53)
cities = st.none() | st.sampled_from(["Rome", "Ulm", "Paris"])
people = st.lists(st.tuples(numbers, st.none() | st.booleans(), cities), min_size=1, max_size=20)


@given(rows=people, offset=st.floats(-1e6, 1e6), divisor=st.floats(1e-3, 1e6))
def test_trainer_and_predictor_encode_to_the_same_bits(rows, offset, divisor):
    age = NumberColumn(column="age", missing=offset, offset=offset, divisor=divisor)
    plan = table(ID, age, SMOKES, CITY)
    columns = {
        "id": np.arange(len(rows)),
        "age": np.array([np.nan if row[0] is None else float(row[0]) for row in rows]),
        "smokes": np.array([row[1] for row in rows], dtype=object),
        "city": np.array([row[2] for row in rows], dtype=object),
    }
    trained = encode_columns(table_of(plan), columns)
    stored = read_plan(json.loads(json.dumps(plan.as_document())))
    sent = json.loads(json.dumps([dict(zip(["age", "smokes", "city"], row, strict=True)) for row in rows]))
    predicted, _ = encode_one(stored, sent)
    assert trained.tobytes() == predicted.tobytes()
    as_lists, _ = encode_one(stored, [list(row.values()) for row in sent])
    assert as_lists.tobytes() == trained.tobytes()


@given(rows=st.lists(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2), min_size=1, max_size=20))
def test_the_quick_way_for_plain_numbers_gives_the_same_bits(rows):
    plan = table(AGE, NumberColumn(column="size", missing=0.0, offset=0.3, divisor=0.7))
    columns = {"age": np.array([row[0] for row in rows]), "size": np.array([row[1] for row in rows])}
    encoded, _ = encode_one(plan, rows)
    assert encoded.tobytes() == encode_columns(table_of(plan), columns).tobytes()
