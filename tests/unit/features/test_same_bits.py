"""Trainer and predictor encode alike, whatever the column: raw columns as the trainer reads them, against rows of JSON."""

import json
from datetime import datetime, time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.features.encoding import encode_columns
from service.features.plan import read_plan
from service.features.requests import RequestEncoder
from service.spec.compile import MeanSquaredError
from service.spec.features import FeaturesSpec
from service.training.encoder import Encoder
from tests.planning import encode_one, plan_table, table_of

FEATURES = {
    "auto_number": None,
    "auto_flag": None,
    "auto_city": None,
    "min_max": {"type": "number", "scale": "min_max", "missing": "median"},
    "as_it_is": {"type": "number", "scale": "none", "missing": -1.5},
    "place": {"type": "category", "encoding": "index"},
    "number_as_category": {"type": "category"},
    "day": {"type": "datetime"},
    "moment": {"type": "datetime", "parts": ["days", "hour_of_day", "day_of_week", "day_of_year"]},
    "written_moment": {"type": "datetime", "parts": ["days", "hour_of_day"]},
    "words": {"type": "text", "max_words": 5},
}
TOKENS = {"words": {"type": "text", "encoding": "tokens", "length": 4, "max_words": 3}}

floats = st.just(0.0) | st.floats(1e-6, 1e9) | st.floats(-1e9, -1e-6)  # a deviation of 1e-99 would make others too large
integers = st.integers(-(2**53) + 1, 2**53 - 1)
cities = st.sampled_from(["Rome", "Ulm", "Paris", "", "𝒳", "'"])
days = st.dates().map(lambda day: datetime.combine(day, time.min))
moments = st.datetimes()
phrases = st.lists(st.sampled_from(["Good", "day", "GOOD", "it's", "2nd", "ü-ber", "  ", "…"]), max_size=6).map(" ".join)
VALUES = {
    "auto_number": floats,
    "auto_flag": st.booleans(),
    "auto_city": cities,
    "min_max": integers,
    "as_it_is": floats,
    "place": cities,
    "number_as_category": st.integers(-3, 3),
    "day": days,
    "moment": moments,
    "written_moment": moments,
    "words": phrases,
}


def raw_column(name: str, values: list) -> np.ndarray:
    """As ``training.reading`` gives it."""
    is_complete = None not in values
    if name in ("day", "moment"):
        return np.array(values, dtype="M8[us]").astype("M8[D]" if name == "day" else "M8[us]")
    if name in ("auto_number", "as_it_is"):
        return np.array(values, dtype=np.float64)
    if name in ("min_max", "number_as_category"):
        return np.array(values, dtype=np.int64 if is_complete else np.float64)
    if name == "auto_flag" and is_complete:
        return np.array(values, dtype=bool)
    column = np.empty(len(values), dtype=object)
    column[:] = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return column


def sent(rows: list[dict]) -> list:
    return json.loads(json.dumps(rows, default=datetime.isoformat))


complete = st.fixed_dictionaries(VALUES)
incomplete = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


def fitted(columns: dict[str, np.ndarray], training_rows: int, features: dict):
    rows = len(next(iter(columns.values())))
    wish = FeaturesSpec.model_validate({"columns": {name: feature for name, feature in features.items() if feature}})
    columns = {**columns, "y": np.arange(rows)}
    return plan_table(columns, wish, "y", MeanSquaredError(), np.arange(rows) < training_rows).plan


@given(first=complete, training=st.lists(incomplete, min_size=1, max_size=6), unseen=st.lists(incomplete, max_size=6))
def test_trainer_and_predictor_encode_every_kind_of_column_to_the_same_bits(first, training, unseen):
    rows = [first, *training, *unseen]
    columns = {name: raw_column(name, [row[name] for row in rows]) for name in VALUES}
    plan = fitted(columns, 1 + len(training), FEATURES)
    stored = read_plan(json.loads(json.dumps(plan.as_document())))
    trained = encode_columns(table_of(plan), columns).tobytes()
    assert encode_one(stored, sent(rows))[0].tobytes() == trained
    used = [column.column for column in table_of(plan).columns if column.width]
    assert encode_one(stored, sent([[row[name] for name in used] for row in rows]))[0].tobytes() == trained
    one_by_one = b"".join(encode_one(stored, sent([row]))[0].tobytes() for row in rows)
    assert one_by_one == trained


def tensor(name: str, values: list, has_width: bool) -> np.ndarray:
    """A column as a client of tensors sends it: NaN where a number is missing, and None where a text is."""
    number_types = {"auto_flag": bool, "min_max": np.int64, "number_as_category": np.int64}
    if name in ("auto_number", "as_it_is", *number_types):
        dtype = np.float64 if None in values else number_types.get(name, np.float64)
        column = np.array(values, dtype=dtype)
    else:
        column = np.empty(len(values), dtype=object)
        column[:] = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return column.reshape(-1, 1) if has_width else column


@given(
    first=complete,
    training=st.lists(incomplete, min_size=1, max_size=5),
    unseen=st.lists(incomplete, max_size=6),
    has_width=st.booleans(),
)
def test_named_tensors_encode_to_the_bits_of_rows_with_as_many_warnings(first, training, unseen, has_width):
    rows = [first, *training, *unseen]
    columns = {name: raw_column(name, [row[name] for row in rows]) for name in VALUES}
    encoder = RequestEncoder(fitted(columns, 1 + len(training), FEATURES))

    tensors = {name: tensor(name, [row[name] for row in rows], has_width) for name in reversed(VALUES)}
    encoded, warnings = encoder.encode_tensors(tensors, {name: f"/{name}" for name in tensors})

    of_rows, warnings_of_rows = encoder.encode_rows(sent(rows))
    assert [array.tobytes() for array in encoded] == [array.tobytes() for array in of_rows]
    assert len(warnings) == len(warnings_of_rows)


@given(numbers=st.lists(st.integers(-100, 100), min_size=1, max_size=6))
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_numbers_of_every_type_encode_alike(dtype, numbers):
    columns = {"as_it_is": np.array([1.5, *numbers])}
    encoder = RequestEncoder(fitted(columns, 2, {"as_it_is": FEATURES["as_it_is"]}))

    (encoded,), _ = encoder.encode_tensors({"as_it_is": np.array(numbers, dtype)}, {"as_it_is": ""})

    (of_rows,), _ = encoder.encode_rows([[number] for number in numbers])
    assert encoded.tobytes() == of_rows.tobytes()


@given(first=complete, others=st.lists(incomplete, min_size=1, max_size=6))
def test_the_example_rows_of_a_fit_encode_to_what_it_has_trained_with(first, others):
    rows = [first, *others]
    columns = {name: raw_column(name, [row[name] for row in rows]) for name in VALUES}
    plan = fitted(columns, len(rows), FEATURES)
    taken = Encoder(plan, None).raw_rows(columns, np.arange(len(rows)))
    assert encode_one(plan, sent(taken))[0].tobytes() == encode_columns(table_of(plan), columns).tobytes()


@given(training=st.lists(phrases, min_size=2, max_size=6), unseen=st.lists(st.none() | phrases, max_size=6))
def test_tokens_are_the_same_for_trainer_and_predictor(training, unseen):
    column = raw_column("words", [*training, *unseen])
    plan = fitted({"words": column}, len(training), TOKENS)
    encoded, _ = encode_one(plan, [{"words": text} for text in column])
    assert encoded.tobytes() == encode_columns(table_of(plan), {"words": column}).tobytes()


def test_plans_that_were_stored_before_new_settings_came_are_read():
    columns = [
        {"type": "number", "column": "age", "missing": 40.0, "offset": 40.0, "divisor": 8.0, "is_boolean": False},
        {"type": "category", "column": "city", "vocabulary": ["Rome"], "encoding": "one_hot"},
        {"type": "excluded", "column": "id", "reason": "as you asked"},
    ]
    target = {"output": "output", "columns": ["sick"], "encoding": "binary", "classes": [0, 1], "from_logits": False}
    document = {"inputs": [{"kind": "table", "name": "input", "columns": columns}], "targets": [target]}
    encoded, warnings = encode_one(read_plan(document), [{"age": 4e9, "city": "Rome"}])
    assert encoded[0, 1:].tolist() == [0.0, 1.0]
    assert warnings == []


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_of_every_unit_are_read_alike(unit):
    column = np.array(["2026-01-01T10:11:12", "1931-05-06", "NaT"], f"M8[{unit}]")
    plan = fitted({"moment": column}, 2, {"moment": FEATURES["moment"]})
    taken = Encoder(plan, None).raw_rows({"moment": column}, np.arange(3))
    assert encode_one(plan, taken)[0].tobytes() == encode_columns(table_of(plan), {"moment": column}).tobytes()
