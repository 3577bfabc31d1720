"""Requests that come together run together, and each gets the outputs of its own rows alone."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import DeadlineExceeded, TooManyRequests
from service.serving.batching import Batcher
from service.serving.measuring import Cost
from service.serving.stages import Stages
from service.serving.workbench import MAX_WAITING, Workbench

Array = np.ndarray[Any, Any]
QUICK = Cost(first_seconds=1e-4, next_seconds=1e-7, has_equal_rows=True)
SLOW = Cost(first_seconds=1.0, next_seconds=1e-7, has_equal_rows=True)
LONGEST_WAIT = 0.005

Asking = asyncio.Task[list[list[float]]]


class Engine:
    """Answers ``x`` doubled and ``x`` with one more; notes how many rows it saw at once; waits until it may."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_run = threading.Event()
        self.may_run.set()

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
        self.may_run.wait(10)
        self.batches.append(len(inputs["x"]))
        if np.isnan(inputs["x"]).any():
            raise RuntimeError("no numbers")
        outputs = {"double": 2 * inputs["x"], "more": inputs["x"] + 1}
        return [outputs[name] for name in names or outputs]


def batcher_of(engine: Engine, cost: Cost = QUICK, max_rows: int = 8, **bench: Any) -> Batcher:
    return Batcher(engine, ["double", "more"], cost, Workbench(**({"threads": 1} | bench)), max_rows, LONGEST_WAIT)


def rows_of(*values: float) -> dict[str, Array]:
    return {"x": np.array(values, np.float32).reshape(-1, 1)}


async def ask(batcher: Batcher, *values: float, stages: Stages | None = None) -> list[list[float]]:
    outputs = await batcher.run(rows_of(*values), stages or Stages())
    return [output.ravel().tolist() for output in outputs]


async def fill(batcher: Batcher, engine: Engine) -> tuple[Asking, list[Asking]]:
    """Let one request wait for the engine, and as many for it as may, with values from 0 on."""
    engine.may_run.clear()
    first = asyncio.create_task(ask(batcher, 1))
    await asyncio.sleep(0.02)
    waiting = [asyncio.create_task(ask(batcher, value)) for value in range(MAX_WAITING)]
    await asyncio.sleep(0)
    return first, waiting


@settings(max_examples=50, deadline=None)
@given(
    requests=st.lists(st.lists(st.integers(-99, 99), min_size=1, max_size=6), min_size=1, max_size=30),
    cost=st.sampled_from([QUICK, SLOW]),
    max_rows=st.integers(2, 9),
    threads=st.integers(1, 3),
)
def test_each_request_gets_the_outputs_of_its_own_rows(
    requests: list[list[int]], cost: Cost, max_rows: int, threads: int
) -> None:
    engine = Engine()

    async def scenario() -> list[list[list[float]]]:
        batcher = batcher_of(engine, cost, max_rows, threads=threads)
        return await asyncio.gather(*(ask(batcher, *values) for values in requests))

    answers = asyncio.run(scenario())

    assert answers == [[[2 * value for value in values], [value + 1 for value in values]] for values in requests]
    assert sum(engine.batches) == sum(map(len, requests))
    assert all(rows <= max(max_rows, max(map(len, requests))) for rows in engine.batches)


def test_requests_of_one_turn_run_together_up_to_the_limit() -> None:
    engine = Engine()

    async def scenario() -> None:
        batcher = batcher_of(engine, max_rows=4)
        await asyncio.gather(*(ask(batcher, 1, 2) for _ in range(5)))
        await ask(batcher, 1)

    asyncio.run(scenario())

    assert engine.batches == [4, 4, 2, 1]


def test_a_request_over_the_limit_runs_by_itself() -> None:
    engine = Engine()

    async def scenario() -> None:
        batcher = batcher_of(engine, max_rows=4)
        await asyncio.gather(ask(batcher, 1), ask(batcher, *range(9)), ask(batcher, 2))

    asyncio.run(scenario())

    assert engine.batches == [1, 9, 1]


def test_what_comes_while_the_engine_is_busy_is_the_next_batch() -> None:
    engine = Engine()

    async def scenario() -> None:
        batcher, stages = batcher_of(engine, SLOW), Stages()
        engine.may_run.clear()
        first = asyncio.create_task(ask(batcher, 1))
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(ask(batcher, 2, stages=stages)), asyncio.create_task(ask(batcher, 3))]
        await asyncio.sleep(0.02)
        engine.may_run.set()
        assert await asyncio.gather(first, *others) == [[[2], [2]], [[4], [3]], [[6], [4]]]
        assert stages.batch_rows == 2
        assert stages.queue >= 0.02

    asyncio.run(scenario())

    assert engine.batches == [1, 2]


@pytest.mark.parametrize("cost", [QUICK, SLOW])
def test_an_error_of_the_engine_reaches_all_of_its_batch_and_no_others(cost: Cost) -> None:
    async def scenario() -> None:
        batcher = batcher_of(Engine(), cost, max_rows=2)
        results = await asyncio.gather(
            ask(batcher, float("nan")), ask(batcher, 1), ask(batcher, 2), ask(batcher, 3), return_exceptions=True
        )
        assert [str(result) for result in results[:2]] == ["no numbers"] * 2
        assert results[2:] == [[[4], [3]], [[6], [4]]]
        assert await ask(batcher, 5) == [[10], [6]]

    asyncio.run(scenario())


def test_a_request_that_is_cancelled_leaves_its_batch() -> None:
    engine = Engine()

    async def scenario() -> None:
        batcher = batcher_of(engine, SLOW)
        engine.may_run.clear()
        first = asyncio.create_task(ask(batcher, 1))
        await asyncio.sleep(0.02)
        gone, stays = asyncio.create_task(ask(batcher, 2)), asyncio.create_task(ask(batcher, 3))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()
        await asyncio.sleep(0)
        engine.may_run.set()
        assert await stays == [[6], [4]]
        assert (gone.cancelled(), first.cancelled()) == (True, True)

    asyncio.run(scenario())

    assert engine.batches == [1, 1]


def test_what_waits_too_long_is_told_so_and_the_next_request_is_answered() -> None:
    engine = Engine()

    async def scenario() -> None:
        batcher = batcher_of(engine, SLOW, timeout_seconds=0.5)
        engine.may_run.clear()
        results = await asyncio.gather(*(ask(batcher, value) for value in (1, 2)), return_exceptions=True)
        assert [type(result) for result in results] == [DeadlineExceeded] * 2
        engine.may_run.set()
        await asyncio.sleep(0.05)
        assert await ask(batcher, 3) == [[6], [4]]

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once_and_forgets_nobody() -> None:
    engine = Engine()

    async def scenario() -> None:
        batcher = batcher_of(engine, SLOW)
        first, waiting = await fill(batcher, engine)
        with pytest.raises(TooManyRequests):
            await ask(batcher, 2)
        engine.may_run.set()
        await first
        assert await asyncio.gather(*waiting) == [[[2 * value], [value + 1]] for value in range(MAX_WAITING)]

    asyncio.run(scenario())


def test_those_who_wait_are_given_up_once_as_many_were_refused() -> None:
    engine = Engine()

    async def scenario() -> None:
        batcher = batcher_of(engine, SLOW)
        first, waiting = await fill(batcher, engine)
        for _ in range(MAX_WAITING):
            with pytest.raises(TooManyRequests):
                await ask(batcher, 2)
        engine.may_run.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [TooManyRequests] * MAX_WAITING
        assert await first == [[2], [2]]
        assert await ask(batcher, 3) == [[6], [4]]

    asyncio.run(scenario())


def test_requests_whose_batch_finds_no_place_are_refused_together() -> None:
    async def scenario() -> None:
        opened = threading.Event()
        workbench = Workbench(threads=1, max_waiting=0)
        batcher = Batcher(Engine(), ["double", "more"], SLOW, workbench, 8, LONGEST_WAIT)
        busy = asyncio.create_task(workbench.run(lambda: opened.wait(10), Stages()))
        await asyncio.sleep(0)
        results = await asyncio.gather(*(ask(batcher, value) for value in (1, 2)), return_exceptions=True)
        assert [type(result) for result in results] == [TooManyRequests] * 2
        opened.set()
        await busy
        assert await ask(batcher, 3) == [[6], [4]]

    asyncio.run(scenario())
