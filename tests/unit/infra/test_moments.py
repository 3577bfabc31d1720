"""Statistics of parts are those of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.infra.moments import Moments


@given(st.lists(st.lists(st.floats(-1e9, 1e9), max_size=20), min_size=1, max_size=8))
def test_moments_of_parts_are_those_of_all_numbers(parts: list[list[float]]) -> None:
    moments, values = Moments(), np.array([value for part in parts for value in part])
    for part in parts:
        moments.add(np.array(part))
    assert moments.count == len(values)
    if len(values):
        assert moments.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-6)
        assert moments.std == pytest.approx(values.std(), rel=1e-6, abs=1e-6)
        assert (moments.min, moments.max) == (values.min(), values.max())


@given(st.lists(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(-1, 1)), min_size=1, max_size=20), min_size=1, max_size=8))
def test_each_place_in_a_row_can_have_its_own(parts: list[list[tuple[float, float]]]) -> None:
    moments, values = Moments(axis=0), np.array([row for part in parts for row in part])
    for part in parts:
        moments.add(np.array(part))
    assert moments.count == len(values)
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(moments.std, values.std(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(moments.min, values.min(axis=0))
    np.testing.assert_array_equal(moments.max, values.max(axis=0))


def test_equal_numbers_deviate_by_nothing_however_large_they_are() -> None:
    moments = Moments()
    moments.add(np.full(3, 1e200))
    moments.add(np.full(2, 1e200))
    assert moments.describe() == {"min": 1e200, "max": 1e200, "mean": 1e200, "std": 0.0}
