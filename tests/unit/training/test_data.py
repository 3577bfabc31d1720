import math
from itertools import chain

import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.plan import ArrayInput, FeaturePlan
from service.spec.fit import FitSpec
from service.training import data
from service.training.data import Examples, row_order, split_at, training_batches, validation_batches


def examples(rows: int, train_rows: int) -> Examples:
    """Row i holds the number i."""
    numbers = np.arange(rows, dtype=np.float32)[:, None]
    plan = FeaturePlan(input=ArrayInput(name="input", shape=[1], dtype="float32"), target=None)
    return Examples(numbers, numbers, train_rows, plan, {}, [], [])


def taken(batches, count: int) -> list[list[int]]:
    return [x[:, 0].astype(int).tolist() for x, _ in batches.take(count).as_numpy_iterator()]


@pytest.mark.parametrize("block_batches", [1, 2, 256])
def test_an_epoch_has_every_row_once_and_a_smaller_last_batch(monkeypatch, block_batches):
    monkeypatch.setattr(data, "MAX_BLOCK_BATCHES", block_batches)
    batches = taken(training_batches(examples(12, 10), FitSpec(batch_size=4), seed=3), 6)
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    assert list(chain(*batches[:3])) == row_order(10, 3, 0, shuffle=True).tolist()
    assert list(chain(*batches[3:])) == row_order(10, 3, 1, shuffle=True).tolist()


def test_the_stream_can_start_at_any_epoch():
    batches = taken(training_batches(examples(10, 10), FitSpec(batch_size=10), seed=3, first_epoch=5), 1)
    assert batches[0] == row_order(10, 3, 5, shuffle=True).tolist()


def test_each_epoch_has_an_order_of_its_own():
    assert row_order(100, 3, 0, shuffle=True).tolist() != row_order(100, 3, 1, shuffle=True).tolist()


def test_rows_keep_their_order_without_shuffle():
    assert taken(training_batches(examples(4, 4), FitSpec(batch_size=3, shuffle=False), seed=3), 2) == [[0, 1, 2], [3]]


@pytest.mark.parametrize("block_bytes", [1, 10**9])
def test_validation_rows_are_the_last_ones_once(monkeypatch, block_bytes):
    monkeypatch.setattr(data, "BLOCK_BYTES", block_bytes)
    batches = validation_batches(examples(10, 7), FitSpec(batch_size=2))
    assert batches.cardinality() == 2
    assert taken(batches, 100) == [[7, 8], [9]]


@pytest.mark.parametrize(("rows", "split"), [(360, 0.2), (10, 0.25), (7, 0.0), (1000, 0.333)])
def test_the_split_is_that_of_keras(rows, split):
    assert split_at(rows, split) == math.floor(rows * (1.0 - split))


@pytest.mark.parametrize(("rows", "split", "part"), [(1, 0.5, "training"), (10, 1e-20, "validation")])
def test_a_split_without_rows_is_refused(rows, split, part):
    with pytest.raises(InvalidInput, match=f"no row is left for {part}"):
        split_at(rows, split)
