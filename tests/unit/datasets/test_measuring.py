"""Statistics that are gathered part by part are those of the whole."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.datasets.parsing.measuring import ColumnMeasure, DistinctCounter


def measured(parts: list[pa.Array], columns: int = 1) -> dict[str, object]:
    measure = ColumnMeasure("c", parts[0].type, columns)
    for part in parts:
        measure.add(pa.chunked_array([part]))
    return measure.describe()


@given(st.lists(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=30), min_size=1, max_size=5))
def test_texts_are_counted_exactly_while_they_are_few(parts: list[list[str | None]]) -> None:
    present = [value for part in parts for value in part if value is not None]
    found = measured([pa.array(part, pa.string()) for part in parts])
    assert found["distinct"] == len(set(present))
    assert found["nulls"] == sum(map(len, parts)) - len(present)
    frequent = dict(found.get("most_frequent", []))
    assert all(present.count(value) == count for value, count in frequent.items())


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_very_many_different_values_are_estimated(kind: pa.DataType) -> None:
    parts = [pa.array(np.arange(start, start + 50_000)).cast(kind) for start in range(0, 400_000, 25_000)]
    found = measured(parts)
    assert found["distinct_is_estimate"] is True
    assert found["distinct"] == pytest.approx(425_000, rel=0.03)


def test_a_wide_table_has_less_room_per_column() -> None:
    values = pa.array(np.arange(5000))
    assert measured([values], columns=1)["distinct"] == 5000
    found = measured([values], columns=10_000)
    assert found["distinct_is_estimate"] is True
    assert found["distinct"] == pytest.approx(5000, rel=0.2)


def test_the_counter_is_exact_up_to_its_size() -> None:
    counter, hashes = DistinctCounter(100), np.random.default_rng(0).integers(0, 2**63, 101).astype(np.uint64)
    for value in hashes[:100]:
        counter.add(np.array([value, value]))
    assert (counter.count, counter.is_exact) == (100, True)
    counter.add(hashes)
    assert not counter.is_exact


def test_a_column_without_values_has_no_statistics() -> None:
    assert measured([pa.nulls(3, pa.float64())]) == {"name": "c", "type": "number", "nulls": 3, "distinct": 0}


def test_equal_numbers_are_equal_whatever_their_sign_of_zero() -> None:
    assert measured([pa.array([0.0, -0.0])])["distinct"] == 1


@pytest.mark.parametrize(
    ("parts", "order"),
    [
        ([[1, 1, 2], [2, 5]], "rising"),
        ([["b", "b"], ["a"]], "falling"),
        ([[False, False], [True]], "rising"),
        ([[1, 2], [1]], None),
        ([[1, 3, 2]], None),
        ([[1, None, 2]], "rising"),
        ([[1, 1], [1]], None),
        ([[1], [2], [3]], "rising"),
    ],
)
def test_it_is_told_whether_the_rows_are_sorted_by_a_column(parts, order):
    whole = pa.array([value for part in parts for value in part])
    measure = ColumnMeasure("x", whole.type, columns=1)
    for part in parts:
        measure.add(pa.chunked_array([pa.array(part, whole.type)]))
    assert measure.describe().get("order") == order
