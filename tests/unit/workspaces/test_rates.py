"""Requests per minute: counted in this process, or where all processes see it, and in this one while that is away."""

import pytest
from structlog.testing import capture_logs

from service.workspaces.errors import QuotaExceeded
from service.workspaces.rates import ASK_AGAIN_SECONDS, WINDOW_SECONDS, Rates
from tests.fakes.clock import Clock
from tests.fakes.counts import FakeCounts

ONE, OTHER = "ws_1", "ws_2"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(clock: Clock) -> FakeCounts:
    return FakeCounts(clock)


def count_here(rates: Rates, workspace: str, limit: int, times: int) -> list[QuotaExceeded]:
    """Count some requests; the refusals."""
    refusals = []
    for _ in range(times):
        try:
            rates.count_here(workspace, limit)
        except QuotaExceeded as refusal:
            refusals.append(refusal)
    return refusals


async def count(rates: Rates, workspace: str, limit: int, times: int) -> list[QuotaExceeded]:
    """Count some requests wherever they are counted; the refusals."""
    refusals = []
    for _ in range(times):
        try:
            await rates.count(workspace, limit)
        except QuotaExceeded as refusal:
            refusals.append(refusal)
    return refusals


def test_a_minute_takes_as_many_requests_as_it_may_and_the_next_one_begins_anew(clock: Clock) -> None:
    rates = Rates(clock=clock)
    assert len(count_here(rates, ONE, 3, 5)) == 2
    clock.seconds += WINDOW_SECONDS - 1
    assert len(count_here(rates, ONE, 3, 1)) == 1
    clock.seconds += 1
    assert count_here(rates, ONE, 3, 3) == []


def test_a_refusal_says_what_is_allowed_and_when_the_minute_ends(clock: Clock) -> None:
    rates = Rates(clock=clock)
    count_here(rates, ONE, 2, 2)
    clock.seconds += 17.5
    (refusal,) = count_here(rates, ONE, 2, 1)
    assert refusal.retry_after_seconds == 43
    assert "Quota 'requests_per_minute' of this workspace: 2 of 2 requests are used" in refusal.message


def test_workspaces_do_not_count_for_each_other(clock: Clock) -> None:
    rates = Rates(clock=clock)
    count_here(rates, ONE, 1, 5)
    assert count_here(rates, OTHER, 1, 1) == []


def test_a_limit_that_changes_holds_at_once_for_what_is_counted_already(clock: Clock) -> None:
    rates = Rates(clock=clock)
    count_here(rates, ONE, 10, 5)
    assert len(count_here(rates, ONE, 4, 1)) == 1
    assert count_here(rates, ONE, 7, 1) == []


def test_several_processes_that_share_nothing_take_a_part_each(clock: Clock) -> None:
    rates = Rates(processes=3, clock=clock)
    assert len(count_here(rates, ONE, 10, 5)) == 1


@pytest.mark.anyio
async def test_shared_counts_are_counted_together(clock: Clock, counts: FakeCounts) -> None:
    first, second = Rates(counts, clock=clock), Rates(counts, clock=clock)
    assert await count(first, ONE, 4, 2) == []
    assert len(await count(second, ONE, 4, 3)) == 1
    (refusal,) = await count(first, ONE, 4, 1)
    assert refusal.retry_after_seconds == WINDOW_SECONDS


@pytest.mark.anyio
async def test_looking_counts_nothing(clock: Clock, counts: FakeCounts) -> None:
    for rates in (Rates(clock=clock), Rates(counts, clock=clock)):
        await count(rates, ONE, 5, 2)
        for _ in range(3):
            minute = await rates.look(ONE, 5)
            assert (minute.count, minute.limit, minute.ends_at) == (2, 5, 1000 + WINDOW_SECONDS)


@pytest.mark.anyio
async def test_while_the_shared_counts_are_away_each_process_counts_for_itself(clock: Clock, counts: FakeCounts) -> None:
    rates = Rates(counts, clock=clock)
    await count(rates, ONE, 3, 3)
    counts.is_away = True
    with capture_logs() as lines:
        assert len(await count(rates, ONE, 3, 5)) == 2
        clock.seconds += ASK_AGAIN_SECONDS
        await count(rates, ONE, 3, 1)
    assert [line["event"] for line in lines] == ["rates.counted_alone"]


@pytest.mark.anyio
async def test_counts_that_are_away_make_one_request_in_a_second_wait(clock: Clock, counts: FakeCounts) -> None:
    rates = Rates(counts, clock=clock)
    counts.is_away = True
    await count(rates, ONE, 100, 20)
    assert counts.questions == 1


@pytest.mark.anyio
async def test_shared_counts_that_come_back_are_used_again(clock: Clock, counts: FakeCounts) -> None:
    rates = Rates(counts, clock=clock)
    counts.is_away = True
    await count(rates, ONE, 3, 3)
    counts.is_away = False
    clock.seconds += ASK_AGAIN_SECONDS
    with capture_logs() as lines:
        assert await count(rates, ONE, 3, 3) == []
    assert [line["event"] for line in lines] == ["rates.shared_again"]
