"""Long computations have threads, a bounded queue and a deadline."""

import asyncio
import threading
from contextlib import suppress

import pytest

from service.errors import DeadlineExceeded, TooManyRequests
from service.serving.stages import Stages
from service.serving.workbench import Workbench


async def until(is_true: threading.Event) -> None:
    while not is_true.is_set():
        await asyncio.sleep(0.005)


def test_it_answers_with_the_result_or_the_error_of_the_work() -> None:
    async def scenario() -> None:
        workbench = Workbench(threads=1)
        assert await workbench.run(lambda: 5, Stages()) == 5
        with pytest.raises(ZeroDivisionError):
            await workbench.run(lambda: 1 / 0, Stages())
        assert await workbench.run(threading.current_thread, Stages()) is not threading.current_thread()
        workbench.close()

    asyncio.run(scenario())


def test_what_is_beyond_threads_and_queue_is_refused_at_once() -> None:
    async def scenario() -> None:
        opened = threading.Event()
        workbench = Workbench(threads=2, max_waiting=3)
        admitted = [asyncio.create_task(workbench.run(lambda: opened.wait(10), Stages())) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await workbench.run(lambda: None, Stages())
        opened.set()
        assert await asyncio.gather(*admitted) == [True] * 5
        assert await workbench.run(lambda: 5, Stages()) == 5
        workbench.close()

    asyncio.run(scenario())


def test_what_waits_is_given_up_once_as_many_were_refused_as_may_wait() -> None:
    async def scenario() -> None:
        opened, most = threading.Event(), 3
        workbench = Workbench(threads=1, max_waiting=most)
        begun = asyncio.create_task(workbench.run(lambda: opened.wait(10), Stages()))
        waiting = [asyncio.create_task(workbench.run(lambda: 5, Stages())) for _ in range(most)]
        going_on = asyncio.create_task(workbench.run(lambda: 6, Stages(), goes_on=True))
        await asyncio.sleep(0)
        for _ in range(most):
            with pytest.raises(TooManyRequests):
                await workbench.run(lambda: None, Stages())
        opened.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [TooManyRequests] * most
        assert (await begun, await going_on) == (True, 6)
        assert await workbench.run(lambda: 5, Stages()) == 5
        workbench.close()

    asyncio.run(scenario())


def test_the_time_in_the_queue_is_told() -> None:
    async def scenario() -> None:
        opened, waited, at_once = threading.Event(), Stages(), Stages()
        workbench = Workbench(threads=1)
        first = asyncio.create_task(workbench.run(lambda: opened.wait(10), at_once))
        second = asyncio.create_task(workbench.run(lambda: None, waited))
        await asyncio.sleep(0.4)
        opened.set()
        await asyncio.gather(first, second)
        assert waited.queue > 0.3 > at_once.queue
        workbench.close()

    asyncio.run(scenario())


def test_what_takes_too_long_keeps_its_place_until_its_thread_ends() -> None:
    async def scenario() -> None:
        opened, ended = threading.Event(), threading.Event()

        def work() -> None:
            opened.wait(10)
            ended.set()

        workbench = Workbench(threads=1, max_waiting=0, timeout_seconds=0.05)
        with pytest.raises(DeadlineExceeded, match=r"0\.05 seconds"):
            await workbench.run(work, Stages())
        with pytest.raises(TooManyRequests):
            await workbench.run(lambda: 5, Stages())
        opened.set()
        await until(ended)
        answer = None
        while answer is None:
            await asyncio.sleep(0.005)
            with suppress(TooManyRequests):  # the event loop has not heard of the end yet
                answer = await workbench.run(lambda: 5, Stages())
        assert answer == 5
        workbench.close()

    asyncio.run(scenario())


def test_what_waits_too_long_is_never_begun_and_gives_its_place_back() -> None:
    async def scenario() -> None:
        opened, begun = threading.Event(), threading.Event()
        workbench = Workbench(threads=1, max_waiting=1, timeout_seconds=0.1)
        busy = asyncio.create_task(workbench.run(lambda: opened.wait(10), Stages()))
        await asyncio.sleep(0)
        late = asyncio.create_task(workbench.run(begun.set, Stages()))
        results = await asyncio.gather(busy, late, return_exceptions=True)
        assert [type(result) for result in results] == [DeadlineExceeded, DeadlineExceeded]
        next_one = asyncio.create_task(workbench.run(lambda: 5, Stages()))
        await asyncio.sleep(0)
        opened.set()
        assert await next_one == 5
        assert not begun.is_set()
        workbench.close()

    asyncio.run(scenario())


def test_work_that_is_cancelled_gives_its_place_back() -> None:
    async def scenario() -> None:
        opened = threading.Event()
        workbench = Workbench(threads=1, max_waiting=1)
        busy = asyncio.create_task(workbench.run(lambda: opened.wait(10), Stages()))
        waiting = asyncio.create_task(workbench.run(lambda: 5, Stages()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        other = asyncio.create_task(workbench.run(lambda: 6, Stages()))
        await asyncio.sleep(0)
        opened.set()
        assert (await busy, await other) == (True, 6)
        workbench.close()

    asyncio.run(scenario())
