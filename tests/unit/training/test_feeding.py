"""Batches come in the order of the passes, wherever a fit begins and however they are cut; threads end with the fit."""

import math
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.training import feeding, fitting, order
from service.training.examples import Part
from service.training.failures import NotFinite
from service.training.feeding import Block, Pace, blocks_in_order, feed, training_blocks
from service.training.order import Order
from service.training.wishes import SuspendAsked
from tests.unit.training.trials import STEPS, TRAIN_ROWS, Trial

SEED = 7
Batches = list[list[int]]


def numbered(rows: int, is_weighted: bool = False) -> Part:
    """Rows that are their own numbers, in every array."""
    numbers = np.arange(rows)
    return Part((numbers[:, None],), (-numbers[:, None],), numbers * 0.5 if is_weighted else None)


def batches_of(block: Block, batch_size: int) -> Batches:
    """The batches that a block is cut into."""
    x, y, *weights = block
    assert (y == -x).all()
    assert all((weight == x[:, 0] * 0.5).all() for weight in weights)
    return [x[start : start + batch_size, 0].tolist() for start in range(0, len(x), batch_size)]


def executions_of(part: Part, shuffled: Order, pace: Pace, epoch: int, step: int, count: int) -> list[Batches]:
    """The batches of so many executions from a step of an epoch on."""
    executions = islice(training_blocks(part, shuffled, pace, epoch, step), count)
    return [[batch for block in blocks for batch in batches_of(block, pace.batch_size)] for blocks in executions]


def flat(executions: list[Batches]) -> Batches:
    return [batch for execution in executions for batch in execution]


def passes(shuffled: Order, batch_size: int) -> Iterator[list[int]]:
    """The batches of pass after pass: the definition of what a fit sees."""
    number = 0
    while True:
        for start in range(0, shuffled.rows, batch_size):
            yield order_of_pass(shuffled, number)[start : start + batch_size]
        number += 1


def order_of_pass(shuffled: Order, number: int) -> list[int]:
    if shuffled.chunk_rows is None:
        return shuffled.permutation(number).tolist()
    windows = [np.concatenate([np.r_[part] for part in window.slices])[window.order()] for window in shuffled.windows(number)]
    return np.concatenate(windows).tolist()


@st.composite
def feedings(draw: st.DrawFn) -> tuple[Part, Order, Pace]:
    rows = draw(st.integers(1, 60))
    chunk_rows = draw(st.none() | st.integers(1, 20))
    batch_size, steps, at_once = draw(st.integers(1, 25)), draw(st.integers(1, 12)), draw(st.integers(1, 6))
    shuffled = Order(rows, SEED, draw(st.booleans()), chunk_rows)
    return numbered(rows, draw(st.booleans())), shuffled, Pace(batch_size, steps, min(at_once, steps))


@given(feedings(), st.integers(1, 4), st.integers(0, 3), st.integers(0, 20))
def test_a_fit_sees_the_batches_of_the_passes_wherever_it_begins(feeding, window_chunks, epoch, place):
    part, shuffled, pace = feeding
    executions_per_epoch = math.ceil(pace.steps / pace.at_once)
    step = (place % executions_per_epoch) * pace.at_once
    with patch.object(order, "WINDOW_CHUNKS", window_chunks):  # Hypothesis does not reset a fixture between two examples
        seen = flat(executions_of(part, shuffled, pace, epoch, step, count=3 * executions_per_epoch))
        first = epoch * pace.steps + step
        assert seen == list(islice(passes(shuffled, pace.batch_size), first, first + len(seen)))


@given(feedings())
def test_executions_end_where_epochs_do(feeding):
    part, shuffled, pace = feeding
    sizes = [len(execution) for execution in executions_of(part, shuffled, pace, 0, 0, 2 * math.ceil(pace.steps / pace.at_once))]
    whole, rest = divmod(pace.steps, pace.at_once)
    assert sizes == 2 * ([pace.at_once] * whole + ([rest] if rest else []))


@given(st.integers(1, 60), st.integers(1, 25), st.none() | st.integers(1, 20))
def test_an_epoch_of_all_the_steps_has_every_row_once(rows, batch_size, chunk_rows):
    steps = math.ceil(rows / batch_size)
    seen = executions_of(numbered(rows), Order(rows, SEED, True, chunk_rows), Pace(batch_size, steps, 1), 2, 0, steps)
    assert sorted(row for batch in flat(seen) for row in batch) == list(range(rows))
    assert [len(batch) for batch in flat(seen)][:-1] == [batch_size] * (steps - 1)


@given(st.integers(1, 60), st.integers(1, 25), st.booleans())
def test_rows_to_measure_with_come_once_and_in_their_order(rows, at_once, is_weighted):
    blocks = list(blocks_in_order(numbered(rows, is_weighted), at_once))
    assert [row for block in blocks for batch in batches_of(block, at_once) for row in batch] == list(range(rows))
    assert {len(block[0]) for block in blocks[:-1]} <= {at_once}


def test_an_execution_in_which_a_pass_ends_has_a_block_for_each_pass():
    """Otherwise the batch behind the last, smaller one would begin with rows of the pass before."""
    blocks = next(training_blocks(numbered(10), Order(10, SEED, shuffle=False), Pace(4, 5, 5), 0, 0))
    assert [len(block[0]) for block in blocks] == [10, 8]
    assert [len(batch) for block in blocks for batch in batches_of(block, 4)] == [4, 4, 2, 4, 4]


def prefetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def collect(items: Iterator[int], seen: list[int]) -> None:
    for item in items:
        seen.append(item)


def failing(after: int) -> Iterator[int]:
    yield from range(after)
    raise OSError("the disk is gone")


@pytest.mark.parametrize("size_bytes", [0, feeding.PREFETCHED_BYTES])
def test_items_come_in_their_order_to_the_end(size_bytes):
    assert list(feed(iter(range(20)), size_bytes)) == list(range(20))
    assert prefetching() == []


@pytest.mark.parametrize("size_bytes", [0, feeding.PREFETCHED_BYTES])
def test_an_error_comes_after_the_items_before_it(size_bytes):
    seen: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"):
        collect(feed(failing(5), size_bytes), seen)
    assert seen == [0, 1, 2, 3, 4]
    assert prefetching() == []


def test_items_are_made_ready_in_another_thread_and_not_too_many_of_them():
    made: list[str] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(threading.current_thread().name)
            yield number

    with closing(feed(items(), feeding.PREFETCHED_BYTES)) as ready:
        assert [next(ready) for _ in range(3)] == [0, 1, 2]
        assert prefetching()
    assert prefetching() == []
    assert all(name.startswith("prefetch") for name in made)
    assert 3 <= len(made) <= 3 + feeding.PREFETCH


@pytest.fixture
def prefetch_everything(monkeypatch):
    monkeypatch.setattr(feeding, "PREFETCHED_BYTES", 0)
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: 1)


@pytest.mark.usefixtures("prefetch_everything")
def test_an_error_of_the_prefetching_thread_ends_the_fit(monkeypatch):
    def breaking(*arguments) -> Iterator[list[Block]]:
        yield from islice(training_blocks(*arguments), STEPS + 3)
        raise OSError("the disk is gone")

    monkeypatch.setattr(fitting, "training_blocks", breaking)
    trial = Trial()
    with pytest.raises(OSError, match="the disk is gone"):
        trial.run()
    assert len(trial.epochs) == 1
    assert prefetching() == []


@pytest.mark.usefixtures("prefetch_everything")
@pytest.mark.parametrize("error", [SuspendAsked(), NotFinite(1, "loss", math.nan), MemoryError()])
def test_the_prefetching_thread_ends_when_the_fit_is_left(error, monkeypatch):
    alive: list[int] = []

    def leave(*_, **__) -> None:
        alive.append(len(prefetching()))
        raise error

    monkeypatch.setattr("service.training.callbacks.ReportProgress.on_train_batch_end", leave)
    fit = Trial().prepare()
    with pytest.raises(type(error)):
        fit.run(None)
    assert alive == [1]
    assert prefetching() == []


@pytest.mark.usefixtures("prefetch_everything")
def test_a_whole_fit_leaves_no_thread():
    assert Trial().run().fitted is not None
    assert prefetching() == []


def test_rows_of_a_window_that_was_passed_over_are_not_read(monkeypatch):
    """A fit of data that is larger than the memory goes on at once, and not after reading what it has seen already."""
    monkeypatch.setattr(order, "WINDOW_CHUNKS", 2)
    read: list[int] = []

    class Watched(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, slice):
                read.append(key.start)
            return np.asarray(self)[key]

    x = np.arange(TRAIN_ROWS)[:, None].view(Watched)
    part = Part((x,), (np.zeros((TRAIN_ROWS, 1)),))
    next(training_blocks(part, Order(TRAIN_ROWS, SEED, False, chunk_rows=5), Pace(5, 9, 1), 0, 6))
    assert read == [30, 35]
