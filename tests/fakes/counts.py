"""Counts that several processes would share, in memory."""

from service.errors import Unavailable
from service.workspaces.rates import WINDOW_SECONDS
from tests.fakes.clock import Clock


class FakeCounts:
    """Counts by name."""

    def __init__(self, clock: Clock) -> None:
        self.is_away = False
        self.questions = 0
        self._clock = clock
        self._counts: dict[str, tuple[int, float]] = {}

    async def add(self, name: str) -> int:
        """Count one more. Raises Unavailable while ``is_away``."""
        count, ends_at = await self.look(name)
        self._counts[name] = (count + 1, ends_at)
        return count + 1

    async def look(self, name: str) -> tuple[int, float]:
        """What is counted. Raises Unavailable while ``is_away``."""
        self.questions += 1
        if self.is_away:
            raise Unavailable("The counts are away.")
        count, ends_at = self._counts.get(name, (0, 0.0))
        return (count, ends_at) if self._clock() < ends_at else (0, self._clock() + WINDOW_SECONDS)
