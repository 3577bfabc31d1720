"""Long lists of numbers are read as any JSON reader reads them, or not at all."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.web.numeric_json import MAX_BRACKETS, load_arrays

PADDING = " " * 20_000
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(numbers | st.booleans() | st.none() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=4))


def rows_of(text: str) -> Any:
    return load_arrays((text + PADDING).encode(), lambda path: path == ("rows",))


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=5) | values, other=values)
def test_what_is_read_is_what_the_standard_reader_says(rows: Any, other: Any) -> None:
    text = json.dumps({"other": other, "rows": rows})
    document = rows_of(text)

    if document is not None:
        expected = json.loads(text)
        assert document["other"] == expected["other"]
        assert isinstance(document["rows"], np.ndarray) or document["rows"] == expected["rows"]
        if isinstance(document["rows"], np.ndarray):
            assert np.array_equal(document["rows"], np.array(expected["rows"], dtype=document["rows"].dtype))


def test_integers_stay_exact_and_mixed_numbers_become_floats() -> None:
    assert rows_of('{"rows": [[9007199254740993, 1]]}')["rows"].tolist() == [[9007199254740993, 1]]
    assert rows_of('{"rows": [[1, 2.5]]}')["rows"].dtype == np.float64


@pytest.mark.parametrize(
    "text",
    [
        '{"rows": [[1, 2], [3]]}',
        '{"rows": [[1, 2], [3, [4]]]}',
        '{"rows": [1, [2]]}',
        '{"rows": [[1], [[2]]]}',
        '{"rows": [[], []]}',
        '{"rows": []}',
        '{"rows": [[1, true]]}',
        '{"rows": [[1, null]]}',
        '{"rows": [[1, "2"]]}',
        '{"rows": [[1, NaN]]}',
        '{"rows": [[1, 1e400]]}',
        '{"rows": [[1, 18446744073709551616]]}',
        '{"rows": [[1, 2]], "rows": [[3, 4]]}',
        '{"rows": [[1, 2]], "text": "["}',
        '{"rows": [[1, 2]]',
        '{"rows": [[1, 2]]} trailing',
        "[" * 2000,
    ],
)
def test_anything_else_is_left_to_another_reader(text: str) -> None:
    assert rows_of(text) is None


def test_short_texts_are_left_to_another_reader() -> None:
    assert load_arrays(b'{"rows": [[1, 2]]}', lambda path: path == ("rows",)) is None


@pytest.mark.parametrize("place", ["at the top", "inside"])
def test_an_object_of_very_many_keys_is_left_to_another_reader(place: str) -> None:
    many = {f"field_{number}": number for number in range(300_000)}
    document = many if place == "at the top" else {"inputs": [many]}

    assert load_arrays(json.dumps(document).encode(), lambda path: False) is None


def test_steps_of_one_number_are_read_however_many_lists_they_are() -> None:
    rows = rows_of('{"rows": [' + ",".join(["[[1],[2],[3],[4]]"] * 60_000) + "]}")["rows"]

    assert rows.shape == (60_000, 4, 1)


@pytest.mark.parametrize("item", ["[]", "{}", "[1]", '{"a": 1}'])
def test_more_lists_and_objects_than_others_can_wait_for_are_refused(item: str) -> None:
    with pytest.raises(InvalidInput, match="too many lists and objects"):
        rows_of('{"rows": [' + ",".join([item] * (MAX_BRACKETS + 1)) + "]}")
