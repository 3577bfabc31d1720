"""Waiting for news of a run, on real databases."""

import asyncio

import pytest
from sqlalchemy import update

from service.errors import TooManyRequests
from service.infra.database import Database
from service.runs.hub import RunHub
from service.runs.tables import Run
from tests.factories import queue_run

SECONDS = 20


def happen(database: Database, run_id: str) -> None:
    with database.write() as session:
        session.execute(update(Run).where(Run.id == run_id).values(last_event=Run.last_event + 1))


async def next_news(news: asyncio.Event) -> None:
    await asyncio.wait_for(news.wait(), SECONDS)
    news.clear()


async def enter(hub: RunHub, workspace_id: str) -> None:
    async with hub.watch("run_9", workspace_id):
        pass


def test_everybody_who_waits_for_a_run_hears_what_happens_to_it(database: Database) -> None:
    async def story() -> None:
        run_id = queue_run(database)
        hub = RunHub(database, max_waiters=10, max_of_workspace=10)
        hub.start()
        async with hub.watch(run_id, "ws_1") as first, hub.watch(run_id, "ws_1") as second:
            await next_news(first)
            await next_news(second)
            await asyncio.sleep(0.5)  # the poller has seen the run as it is
            first.clear()
            second.clear()
            await asyncio.to_thread(happen, database, run_id)
            await next_news(first)
            await next_news(second)
        await hub.stop()

    asyncio.run(story())


def test_whoever_comes_late_reads_once_more(database: Database) -> None:
    async def story() -> None:
        run_id = queue_run(database)
        hub = RunHub(database, max_waiters=10, max_of_workspace=10)
        hub.start()
        async with hub.watch(run_id, "ws_1"):
            await asyncio.sleep(0.5)
            async with hub.watch(run_id, "ws_1") as late:
                assert late.is_set()
        await hub.stop()

    asyncio.run(story())


def test_closing_sends_everybody_home_and_a_full_hub_takes_nobody(database: Database) -> None:
    async def story() -> None:
        hub = RunHub(database, max_waiters=1, max_of_workspace=1)
        async with hub.watch("run_1", "ws_1") as news:
            with pytest.raises(TooManyRequests):
                await enter(hub, "ws_2")
            news.clear()
            hub.close()
            assert news.is_set()
        await enter(hub, "ws_1")

    asyncio.run(story())


def test_a_workspace_leaves_room_to_the_others(database: Database) -> None:
    async def story() -> None:
        hub = RunHub(database, max_waiters=3, max_of_workspace=2)
        async with hub.watch("run_1", "ws_1"), hub.watch("run_2", "ws_1"):
            with pytest.raises(TooManyRequests, match="2 event streams and waiting requests of this workspace"):
                await enter(hub, "ws_1")
            async with hub.watch("run_3", "ws_2"):
                with pytest.raises(TooManyRequests, match="Too many clients"):
                    await enter(hub, "ws_2")
        await enter(hub, "ws_1")

    asyncio.run(story())
