"""Wakes everybody in this process who waits for news of a run: one poller, however many wait."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio.to_thread
from sqlalchemy import select

from service.errors import TooManyRequests, Unavailable
from service.infra.database import Database
from service.infra.logging import get_logger
from service.runs.tables import Run

log = get_logger(__name__)

POLL_SECONDS = 0.05
FULL_RETRY_SECONDS = 5


@dataclass(frozen=True)
class Position:
    """Where a run is; two equal positions mean that nothing has happened in between."""

    last_event: int
    epoch: int
    step: int


class RunHub:
    """Asks the database for all awaited runs at once, and only while somebody waits."""

    def __init__(self, database: Database, max_waiters: int, max_of_workspace: int) -> None:
        self._database = database
        self._max_waiters = max_waiters
        self._max_of_workspace = max_of_workspace
        self._of_workspace: Counter[str] = Counter()
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._seen: dict[str, Position] = {}
        self._task: asyncio.Task[None] | None = None
        self._somebody_waits = asyncio.Event()
        self.is_closing = False

    def start(self) -> None:
        """Begin to poll, in the running event loop."""
        self._task = asyncio.create_task(self._poll_for_ever())

    async def stop(self) -> None:
        """Wake everybody and stop polling."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def close(self) -> None:
        """Tell everybody who waits to go home; new ones are sent away at once."""
        self.is_closing = True
        for waiters in self._waiters.values():
            _wake(waiters)

    def _check_room(self, workspace_id: str) -> None:
        """Raise TooManyRequests when nobody else of this workspace may wait, or nobody at all."""
        waiting = self._of_workspace[workspace_id]
        if waiting >= self._max_of_workspace:
            message = f"{waiting} event streams and waiting requests of this workspace are open here, as many as may be."
            raise TooManyRequests(f"{message} End some, or ask again without waiting.", FULL_RETRY_SECONDS)
        if self._of_workspace.total() >= self._max_waiters:
            raise TooManyRequests("Too many clients wait for news already. Ask again without waiting.", FULL_RETRY_SECONDS)

    @asynccontextmanager
    async def watch(self, run_id: str, workspace_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever something may have happened to a run of the workspace. Raises TooManyRequests."""
        self._check_room(workspace_id)
        self._of_workspace[workspace_id] += 1
        news = asyncio.Event()
        news.set()  # whatever happened since the caller last read the run has woken the others only
        self._waiters.setdefault(run_id, set()).add(news)
        self._somebody_waits.set()
        try:
            yield news
        finally:
            self._of_workspace[workspace_id] -= 1
            self._waiters[run_id].discard(news)
            if not self._waiters[run_id]:
                del self._waiters[run_id]
                self._seen.pop(run_id, None)

    async def _poll_for_ever(self) -> None:
        while True:
            if not self._waiters:
                self._somebody_waits.clear()
                await self._somebody_waits.wait()
            try:
                positions = await anyio.to_thread.run_sync(self._read_positions, list(self._waiters))
            except Unavailable:
                log.warning("hub.poll_failed")
                positions = {}
            for run_id, position in positions.items():
                if self._seen.get(run_id) != position:
                    self._seen[run_id] = position
                    _wake(self._waiters.get(run_id, ()))
            await asyncio.sleep(POLL_SECONDS)

    def _read_positions(self, run_ids: list[str]) -> dict[str, Position]:
        query = select(Run.id, Run.last_event, Run.epoch, Run.step).where(Run.id.in_(run_ids))
        with self._database.read() as session:
            return {row.id: Position(row.last_event, row.epoch, row.step) for row in session.execute(query)}


def _wake(waiters: Iterable[asyncio.Event]) -> None:
    for news in waiters:
        news.set()
