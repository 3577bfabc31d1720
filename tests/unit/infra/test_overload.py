"""When a queue is overloaded, and how long what an event loop reads may have waited; clocks stand still."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from prometheus_client import REGISTRY

from service.infra.overload import CALM_SECONDS, Crowd, Limit, Turns

LONGEST_WAIT = 0.005


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def crowd_of(clients: int, clock: Clock) -> Crowd:
    crowd = Crowd(clock)
    crowd.look()
    for _ in range(clients):
        crowd.note(-1)
    return crowd


def test_a_client_that_asks_often_is_counted_once_a_second(clock: Clock) -> None:
    crowd = Crowd(clock)
    crowd.look()
    busy = crowd.note(-1)
    for _ in range(10):
        busy = crowd.note(busy)
    crowd.note(-1)

    assert crowd.size == 2


def test_a_crowd_is_remembered_for_the_next_second_and_then_forgotten(clock: Clock) -> None:
    crowd = crowd_of(5, clock)
    clock.now += 1
    crowd.look()
    crowd.note(-1)
    assert crowd.size == 5

    clock.now += 2
    crowd.look()
    crowd.note(-1)
    assert crowd.size == 1


def test_the_usual_limit_holds_a_burst_of_as_many_clients(clock: Clock) -> None:
    limit = Limit("test", 64, 2, crowd_of(64, clock), clock)

    assert all(limit.takes(waiting) for waiting in range(64))
    assert not limit.takes(64)


def test_of_a_larger_crowd_a_smaller_burst_is_held(clock: Clock) -> None:
    limit = Limit("test", 64, 2, crowd_of(65, clock), clock)

    assert all(limit.takes(waiting) for waiting in range(16))
    assert not limit.takes(16)


def test_a_queue_that_was_full_is_kept_short_until_nobody_is_refused_any_more(clock: Clock) -> None:
    crowd = crowd_of(500, clock)
    limit = Limit("test", 64, 2, crowd, clock)
    assert not limit.takes(64)
    clock.now += CALM_SECONDS / 2
    assert limit.takes(1)
    assert not limit.takes(2)
    clock.now += CALM_SECONDS / 2
    assert not limit.takes(2), "the last refusal is what counts"

    clock.now += CALM_SECONDS
    crowd.look()
    for _ in range(500):
        crowd.note(-1)
    assert limit.takes(2), "as many clients as before, but none was refused for a while"


def test_clients_that_fit_into_the_queue_are_never_held_off_however_often_they_ask(clock: Clock) -> None:
    crowd = crowd_of(500, clock)
    limit = Limit("test", 64, 2, crowd, clock)
    assert not limit.takes(64)
    seen, refused = [-1] * 64, []
    for _ in range(8):  # in half a second each, those ask again at once who were refused
        refused.append(0)
        crowd.look()
        for waiting in range(64):
            seen[waiting] = crowd.note(seen[waiting])
            refused[-1] += not limit.takes(waiting)
        clock.now += CALM_SECONDS / 2

    assert refused == [62] * 4 + [0] * 4, "only while the crowd of before is remembered"


def test_an_overloaded_queue_is_never_longer_than_a_usual_one(clock: Clock) -> None:
    limit = Limit("test", 1, 8, crowd_of(500, clock), clock)

    assert limit.takes(0)
    assert not limit.takes(1)


def test_refusals_are_counted_by_their_reason(clock: Clock) -> None:
    limit = Limit("counted", 1, 0, crowd_of(5, clock), clock)
    for waiting in (0, 1, 2):
        limit.takes(waiting)

    assert REGISTRY.get_sample_value("fitserve_requests_refused_total", {"reason": "counted"}) == 2


class Loop:
    """Turns of an event loop whose requests take as long as a test says."""

    def __init__(self, clock: Clock, clients: int, usual: int = 16) -> None:
        self.clock = clock
        self.turns = Turns(LONGEST_WAIT, Limit("test", usual, 0, crowd_of(clients, clock), clock), clock)

    def read(self, count: int, answer_seconds: float, refusal_seconds: float = 0.0) -> list[bool]:
        """What becomes of so many requests that are read in one turn."""
        found = []
        for _ in range(count):
            is_answered = self.turns.take()
            self.clock.now += answer_seconds if is_answered else refusal_seconds
            found.append(is_answered)
        return found


def in_a_loop(story: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a story of turns; each ``await`` of it is the end of a turn."""
    asyncio.run(story())


def test_what_waits_for_a_short_time_is_answered_however_many_come(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, clients=500)
        for _ in range(5):
            assert all(loop.read(40, answer_seconds=LONGEST_WAIT / 200))
            await asyncio.sleep(0)

    in_a_loop(story)


def test_a_few_clients_are_answered_however_long_they_wait(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, clients=16)
        for _ in range(5):
            assert all(loop.read(16, answer_seconds=1))
            await asyncio.sleep(0)

    in_a_loop(story)


def test_of_a_crowd_those_are_refused_that_may_have_waited_for_long(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, clients=500)
        assert loop.read(10, answer_seconds=0.002) == [True] * 4 + [False] * 6, "three within the time, a fourth by the queue"
        await asyncio.sleep(0)
        assert loop.read(10, answer_seconds=0.002) == [True] + [False] * 9, "all of them came while the turn before went on"
        await asyncio.sleep(0)
        assert loop.read(10, answer_seconds=0.002) == [True] * 2 + [False] * 8, "the turn before took 2 ms"

    in_a_loop(story)


def test_who_comes_to_a_loop_that_had_nothing_to_do_has_not_waited(clock: Clock) -> None:
    async def story() -> None:
        loop = Loop(clock, clients=500)
        assert not all(loop.read(10, answer_seconds=0.01))
        for _ in range(3):
            await asyncio.sleep(0)
        clock.now += 10
        assert loop.turns.take()

    in_a_loop(story)


def test_refusals_never_take_all_of_the_time(clock: Clock) -> None:
    async def story() -> None:
        loop, answered = Loop(clock, clients=500), 0
        for _ in range(50):  # refusing those who have come takes longer than anybody may have waited
            answered += sum(loop.read(400, answer_seconds=0.001, refusal_seconds=0.00005))
            await asyncio.sleep(0)
        assert answered * 0.001 == pytest.approx(50 * 400 * 0.00005, rel=0.1), "as much as refusals"

    in_a_loop(story)
