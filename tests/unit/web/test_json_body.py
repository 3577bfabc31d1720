import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInput, MalformedInput
from service.web.json_body import parse_strict
from service.web.numeric_json import MAX_BRACKETS

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3))


@given(DOCUMENTS)
def test_plain_documents_are_read_as_they_are(document: object) -> None:
    assert parse_strict(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "body", [b"", b"NaN", b"-Infinity", b"1e999", b'"\\ud800"', b"\xff", b"[1,]", b"{}x", '{"a":1}'.encode("utf-16")]
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedInput):
        parse_strict(body)


def test_a_nesting_of_64_is_read_and_one_more_is_not() -> None:
    parse_strict(b"[" * 64 + b"]" * 64)
    with pytest.raises(InvalidInput, match="nested"):
        parse_strict(b"[" * 66 + b"]" * 66)


def test_a_key_that_stands_twice_is_refused_also_inside() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_strict(b'[{"a": {"b": 1, "b": 2}}]')

    assert "'b'" in caught.value.problems[0].message


def test_a_zero_character_is_refused_where_it_stands_and_its_spelling_is_not() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_strict(rb'{"rows": [{"name": "a\u0000"}]}')

    assert caught.value.problems[0].pointer == "/rows/0/name"
    assert parse_strict(rb'"\\u0000"') == r"\u0000"


def test_a_long_key_is_cut_where_it_points_to_a_mistake() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_strict(b'{"%s": "a\\u0000"}' % (b"k" * 5000))

    assert len(caught.value.problems[0].pointer) <= 101


def test_the_values_of_a_document_may_be_bounded() -> None:
    assert parse_strict(b'{"a": [0, [1]]}', max_values=4) == {"a": [0, [1]]}
    with pytest.raises(InvalidInput, match="too many values"):
        parse_strict(b'{"a": [0, [1]]}', max_values=3)


@pytest.mark.parametrize("item", [b"[]", b"[[0]]", b'{"a": 1}'])
def test_more_lists_and_objects_than_others_can_wait_for_are_refused(item: bytes) -> None:
    with pytest.raises(InvalidInput, match="too many lists and objects"):
        parse_strict(b"[" + b",".join([item] * MAX_BRACKETS) + b"]")
