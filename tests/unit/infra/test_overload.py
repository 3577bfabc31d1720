"""When a queue is overloaded, and in which turns requests begin; clocks go on as a test says."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from prometheus_client import REGISTRY

from service.infra.overload import CALM_SECONDS, LONGEST_SECONDS, TRIED_AFTER_SECONDS, UNHURRIED_SECONDS, Limit, Turns

LONGEST_WAIT = 0.005


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_usual_limit_holds_a_burst(clock: Clock) -> None:
    limit = Limit("test", 64, 2, clock)

    assert all(limit.takes(waiting) for waiting in range(64))
    assert not limit.takes(64)


def test_a_queue_that_was_full_is_kept_short_until_nobody_is_refused_any_more(clock: Clock) -> None:
    limit = Limit("test", 64, 2, clock)
    assert not limit.takes(64)
    clock.now += CALM_SECONDS / 2
    assert limit.takes(1)
    assert not limit.takes(2)
    clock.now += CALM_SECONDS / 2
    assert not limit.takes(2), "the last refusal is what counts"

    clock.now += CALM_SECONDS
    assert limit.takes(2)


def test_a_queue_a_little_longer_is_tried_now_and_then(clock: Clock) -> None:
    limit = Limit("test", 64, 2, clock)
    assert not limit.takes(64)
    for _ in range(3):
        for _ in range(9):
            clock.now += TRIED_AFTER_SECONDS / 10
            assert not limit.takes(2)
        clock.now += TRIED_AFTER_SECONDS / 10
        assert limit.takes(7)
        assert not limit.takes(8)


def test_what_comes_together_by_chance_does_not_keep_a_queue_short_after_the_overload(clock: Clock) -> None:
    limit = Limit("test", 64, 2, clock)
    assert not limit.takes(64)
    end = clock.now + TRIED_AFTER_SECONDS + CALM_SECONDS
    while clock.now < end:
        clock.now += CALM_SECONDS / 4
        limit.takes(4)

    assert not limit.is_overloaded
    assert limit.takes(63)


def test_clients_that_never_let_a_queue_be_calm_get_the_usual_one_again_in_the_end(clock: Clock) -> None:
    limit, refused = Limit("test", 64, 2, clock), 0
    assert not limit.takes(64)
    for _ in range(100):  # as many as the queue holds ask again as soon as they are refused
        clock.now += LONGEST_SECONDS / 90
        refused += not limit.takes(60)

    assert 85 < refused < 95
    assert not limit.is_overloaded


def test_those_who_wait_are_answered_after_a_burst(clock: Clock) -> None:
    limit = Limit("test", 8, 2, clock)
    since = clock.now
    for _ in range(7):
        clock.now += 0.001
        assert not limit.takes(8)

    assert not limit.has_given_up(since)


def test_those_who_wait_are_given_up_where_as_many_had_to_be_refused(clock: Clock) -> None:
    limit = Limit("test", 8, 2, clock)
    since = clock.now
    for _ in range(8):
        clock.now += 0.001
        assert not limit.takes(8)
    assert limit.has_given_up(since)
    assert not limit.has_given_up(clock.now), "those who were let in since then do not wait long"

    since = clock.now
    for _ in range(20):
        clock.now += 0.001
        assert not limit.takes(2)
    assert not limit.has_given_up(since), "nor do any others as long as the queue is kept short"


def test_an_overloaded_queue_is_never_longer_than_a_usual_one(clock: Clock) -> None:
    limit = Limit("test", 1, 8, clock)

    assert limit.takes(0)
    assert not limit.takes(1)


def test_refusals_are_counted_by_their_reason(clock: Clock) -> None:
    limit = Limit("counted", 1, 0, clock)
    since = clock.now
    for waiting in (0, 1, 2):
        clock.now += 1e-3
        limit.takes(waiting)
    limit.has_given_up(since)

    assert REGISTRY.get_sample_value("fitserve_requests_refused_total", {"reason": "counted"}) == 3


class Loop:
    """An event loop that reads requests; each of those that begin keeps it for some seconds of a clock."""

    def __init__(self, clock: Clock, answer_seconds: float, refusal_seconds: float = 0.0, usual: int = 16) -> None:
        self.clock = clock
        self.answer_seconds = answer_seconds
        self.refusal_seconds = refusal_seconds
        self.turns = Turns(LONGEST_WAIT, Limit("test", usual, 0, clock), clock)
        self.waited: list[float] = []
        """How long each has waited that has been answered."""
        self.refused = self.given_up = 0
        self.most_seconds = 0.0
        """The longest turn."""
        self.tasks: list[asyncio.Task[None]] = []

    async def read(self, count: int) -> None:
        """A turn in which so many requests are read."""
        began_at = self.clock.now
        for _ in range(count):
            if self.turns.take():
                self.tasks.append(asyncio.create_task(self._answer(self.clock.now)))
            else:
                self.refused += 1
                self.clock.now += self.refusal_seconds
        await asyncio.sleep(0)
        self.most_seconds = max(self.most_seconds, self.clock.now - began_at)

    async def end(self) -> None:
        """All turns until nobody waits any more."""
        await asyncio.gather(*self.tasks)

    async def _answer(self, read_at: float) -> None:
        if await self.turns.wait():
            self.waited.append(self.clock.now - read_at)
            self.clock.now += self.answer_seconds
        else:
            self.given_up += 1


def in_a_loop(story: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a story of turns; each ``await`` of it is the end of a turn."""
    asyncio.run(story())


def test_what_is_answered_quickly_never_waits_for_another_turn(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, answer_seconds=UNHURRIED_SECONDS / 20)
        for _ in range(5):
            await loop.read(15)
            assert len(loop.waited) == len(loop.tasks)

    in_a_loop(story)


def test_a_request_may_be_answered_where_it_was_read_unless_the_turn_is_long_already(clock: Clock) -> None:
    async def story() -> None:
        turns = Turns(LONGEST_WAIT, Limit("test", 16, 0, clock), clock)
        assert turns.take()
        assert turns.may_begin()
        clock.now += 2 * UNHURRIED_SECONDS
        turns.leave(2 * UNHURRIED_SECONDS)
        assert turns.take()
        assert not turns.may_begin()
        assert await turns.wait()

    in_a_loop(story)


def test_a_turn_does_not_take_as_long_as_all_that_was_read(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, answer_seconds=0.01)
        for _ in range(20):
            await loop.read(8)
        await loop.end()
        assert loop.refused > 0
        assert 0 < loop.most_seconds < 3 * UNHURRIED_SECONDS

    in_a_loop(story)


def test_a_few_clients_are_answered_however_long_they_wait(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, answer_seconds=1)
        for _ in range(5):
            await loop.read(16)
            await loop.end()
        assert (len(loop.waited), loop.refused, loop.given_up) == (5 * 16, 0, 0)

    in_a_loop(story)


def test_while_ten_times_too_much_comes_nobody_who_is_answered_has_waited_long(clock: Clock) -> None:
    async def story() -> None:
        loop, late = Loop(clock, answer_seconds=0.002, usual=256), 0.0
        for _ in range(1000):
            began_at = clock.now
            await loop.read(int(late / 0.0002))
            late = clock.now - began_at + 0.0002
        await loop.end()
        waited = sorted(loop.waited[len(loop.waited) // 2 :])
        assert loop.given_up > 0
        assert waited[int(0.99 * len(waited))] < 2 * LONGEST_WAIT

    in_a_loop(story)


def test_refusals_never_take_all_of_the_time(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, answer_seconds=0.001, refusal_seconds=0.00005)
        for _ in range(50):  # refusing those who have come takes longer than anybody may wait
            await loop.read(400)
        answers, refusals = 0.001 * len(loop.waited), 0.00005 * loop.refused
        assert 0.15 < answers / (answers + refusals) < 0.4

    in_a_loop(story)


def test_a_client_that_has_gone_while_it_waited_holds_up_nobody(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, answer_seconds=1)
        await loop.read(4)
        loop.tasks.pop(2).cancel()
        await loop.end()
        assert len(loop.waited) == 3

    in_a_loop(story)
