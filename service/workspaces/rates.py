"""How many requests each workspace sends in a minute: counted for all processes where they share something, else in this one.

A minute begins with a workspace's first request, and the next one with its first request after that. Knows no HTTP.
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from service.errors import Unavailable
from service.infra.logging import get_logger
from service.workspaces.errors import QuotaExceeded

log = get_logger(__name__)
Found = TypeVar("Found")

WINDOW_SECONDS = 60
ASK_AGAIN_SECONDS = 1.0
"""How long the shared counts are left alone once they have not answered: each try makes a request wait."""


class SharedCounts(Protocol):
    """Counts that every process sees, each of which begins anew ``WINDOW_SECONDS`` after its first one."""

    async def add(self, name: str) -> int:
        """Count one more; how many there are now. Raises Unavailable."""

    async def look(self, name: str) -> tuple[int, float]:
        """How many there are, and when they begin anew (seconds since 1970). Raises Unavailable."""


@dataclass
class Minute:
    """Requests of a workspace in its present minute."""

    count: int
    limit: int
    """How many there may be."""
    ends_at: float
    """Seconds since 1970."""


class Rates:
    """Counts requests and refuses those that are too many. For one event loop."""

    def __init__(self, shared: SharedCounts | None = None, processes: int = 1, clock: Callable[[], float] = time.time) -> None:
        """``processes``: how many count for themselves where nothing is shared; each takes its part of a limit."""
        self._shared = shared
        self._processes = processes
        self._clock = clock
        self._minutes: dict[str, Minute] = {}
        self._is_shared_away = False
        self._ask_again_at = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether a request has to wait for what others have counted."""
        return self._shared is not None

    def count_here(self, workspace_id: str, limit: int) -> None:
        """Count a request in this process alone. Raises QuotaExceeded."""
        minute = self._minute_here(workspace_id, limit)
        minute.count += 1
        if minute.count > minute.limit:
            raise self._refusal(minute)

    async def count(self, workspace_id: str, limit: int) -> None:
        """Count a request. Raises QuotaExceeded."""
        minute = await self._ask_shared(lambda shared: self._add(shared, workspace_id, limit))
        if minute is None:
            self.count_here(workspace_id, limit)
        elif minute.count > limit:
            raise self._refusal(minute)

    async def look(self, workspace_id: str, limit: int) -> Minute:
        """What is counted at present, without counting anything."""
        minute = await self._ask_shared(lambda shared: self._look(shared, workspace_id, limit))
        return minute or self._minute_here(workspace_id, limit)

    def _refusal(self, minute: Minute) -> QuotaExceeded:
        seconds = max(1, math.ceil(minute.ends_at - self._clock()))
        return QuotaExceeded("requests_per_minute", minute.limit, 1, minute.limit, seconds)

    def _minute_here(self, workspace_id: str, limit: int) -> Minute:
        moment, part = self._clock(), math.ceil(limit / self._processes)
        minute = self._minutes.get(workspace_id)
        if minute is None or moment >= minute.ends_at:
            minute = self._minutes[workspace_id] = Minute(0, part, moment + WINDOW_SECONDS)
        minute.limit = part
        return minute

    async def _add(self, shared: SharedCounts, workspace_id: str, limit: int) -> Minute:
        count = await shared.add(workspace_id)
        return Minute(count, limit, 0.0) if count <= limit else await self._look(shared, workspace_id, limit)

    async def _look(self, shared: SharedCounts, workspace_id: str, limit: int) -> Minute:
        count, ends_at = await shared.look(workspace_id)
        return Minute(count, limit, ends_at)

    async def _ask_shared(self, ask: Callable[[SharedCounts], Awaitable[Found]]) -> Found | None:
        """What the shared counts say; None where there are none, or while they are away."""
        if self._shared is None or (self._is_shared_away and self._clock() < self._ask_again_at):
            return None
        try:
            found = await ask(self._shared)
        except Unavailable as error:
            self._note_outage(error)
            return None
        if self._is_shared_away:
            self._is_shared_away = False
            log.info("rates.shared_again")
        return found

    def _note_outage(self, error: Unavailable) -> None:
        self._ask_again_at = self._clock() + ASK_AGAIN_SECONDS
        if not self._is_shared_away:
            self._is_shared_away = True
            log.warning("rates.counted_alone", reason=error.message)
