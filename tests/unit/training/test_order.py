"""Every row once per pass, in an order that the seed and the pass alone decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.training import order
from service.training.order import Order, order_of

SEEDS = st.integers(0, 2**63 - 1)
ORDERS = st.builds(Order, rows=st.integers(1, 300), seed=SEEDS, shuffle=st.booleans(), chunk_rows=st.integers(1, 40))


def rows_of(shuffled: Order, number: int) -> np.ndarray:
    """The rows of a pass in the order in which they are seen, window by window."""
    windows = list(shuffled.windows(number))
    places = [np.concatenate([np.arange(part.start, part.stop) for part in window.slices]) for window in windows]
    assert [len(rows) for rows in places] == [window.rows for window in windows]
    return np.concatenate([rows[window.order()] for rows, window in zip(places, windows, strict=True)])


@given(ORDERS, st.integers(0, 2**40))
def test_a_pass_has_every_row_once(shuffled, number):
    for rows in (shuffled.permutation(number), rows_of(shuffled, number)):
        assert (np.sort(rows) == np.arange(shuffled.rows)).all()


@given(ORDERS, st.integers(0, 1000))
def test_the_same_seed_and_pass_give_the_same_order_again(shuffled, number):
    again = Order(shuffled.rows, shuffled.seed, shuffled.shuffle, shuffled.chunk_rows)
    np.random.seed(1)
    rows_of(again, number + 1)
    assert (rows_of(again, number) == rows_of(shuffled, number)).all()
    assert (again.permutation(number) == shuffled.permutation(number)).all()


@given(ORDERS.filter(lambda shuffled: not shuffled.shuffle))
def test_rows_keep_their_order_without_shuffling(kept):
    assert (rows_of(kept, 3) == np.arange(kept.rows)).all()
    assert (kept.permutation(3) == np.arange(kept.rows)).all()


@pytest.mark.parametrize("other", [(8, 0), (7, 1)])
def test_another_seed_or_pass_gives_another_order(other):
    seed, number = other
    one, two = (Order(500, each, shuffle=True, chunk_rows=5) for each in (7, seed))
    assert (one.permutation(0) != two.permutation(number)).any()
    assert (rows_of(one, 0) != rows_of(two, number)).any()


def test_the_order_is_the_one_that_seeds_have_always_meant():
    """A run that is done again years later, or taken up by a newer trainer, must find it again."""
    assert Order(10, 7, shuffle=True).permutation(2).tolist() == np.random.default_rng([7, 2]).permutation(10).tolist()
    assert rows_of(Order(10, 7, shuffle=True, chunk_rows=3), 2).tolist() == [7, 3, 6, 5, 9, 4, 8, 2, 1, 0]


def test_rows_of_one_window_are_mixed_and_those_of_two_are_not(monkeypatch):
    monkeypatch.setattr(order, "WINDOW_CHUNKS", 4)
    first = next(Order(400, 7, shuffle=True, chunk_rows=10).windows(0))
    assert len(first.slices) == 4
    assert [part.start for part in first.slices] != sorted(part.start for part in first.slices)
    chunks = first.order() // 10
    assert (np.diff(chunks) != 0).sum() > 20, "neighbours come from different chunks"


@pytest.mark.parametrize(
    ("rows", "row_bytes", "chunk_rows"), [(100, 10, None), (101, 10, 5), (1000, 100, 1), (1000, 16, 3), (1, 5000, 1)]
)
def test_data_beyond_the_memory_is_cut_into_chunks(rows, row_bytes, chunk_rows, monkeypatch):
    monkeypatch.setattr(order, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(order, "CHUNK_BYTES", 50)
    assert order_of(rows, row_bytes, 7, shuffle=True).chunk_rows == chunk_rows
