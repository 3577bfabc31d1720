"""Rows of arrays as nested lists."""

import numpy as np

from service.datasets import preview
from service.datasets.preview import read_examples


def test_a_row_shows_every_array_and_the_names_of_classes() -> None:
    arrays = {"x": np.arange(6).reshape(3, 2), "y": np.array([1, 0, 1])}
    described = [{"name": "x"}, {"name": "y", "classes": ["cat", "dog"]}]
    assert read_examples(arrays, described, 1, 5) == [{"x": [2, 3], "y": "cat"}, {"x": [4, 5], "y": "dog"}]


def test_a_page_of_large_rows_is_short_but_never_empty() -> None:
    rows = np.zeros((5, preview.MAX_PAGE_NUMBERS // 2))
    assert len(read_examples({"x": rows}, [], 0, 5)) == 2
    assert len(read_examples({"x": np.zeros((5, preview.MAX_PAGE_NUMBERS * 2))}, [], 4, 5)) == 1


def test_of_huge_rows_only_the_shape_is_shown() -> None:
    arrays = {"x": np.zeros((2, 1001, 1000), dtype=np.uint8), "y": np.array([0, 1])}
    assert read_examples(arrays, [], 0, 1) == [{"x": {"shape": [1001, 1000], "dtype": "uint8"}, "y": 0}]
