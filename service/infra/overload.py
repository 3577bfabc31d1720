"""Says when more is asked than can be answered, so that the rest is refused at once. Knows no HTTP.

Every queue has two limits. The usual one is wide: what comes in a burst is answered soon. Once it was reached, a narrow one
holds, so that what is accepted does not wait long, until nobody had to be refused for a second. A few clients that ask again
as soon as they are answered fill no wide queue: where as few ask as it would hold, the narrow one never holds.
"""

import asyncio
import time
from collections.abc import Callable

from prometheus_client import Counter

CALM_SECONDS = 1.0
"""A queue that has refused nobody for so long is a usual one again."""
BURST_OF_A_CROWD = 4
"""Where more clients ask than the usual queue holds, it is full at this part of its length, for the rest would come at once."""
REMEMBERED_SECONDS = 0.1
SMOOTHED_TURNS = 4
REFUSED = Counter("fitserve_requests_refused", "Requests that were refused under load, by what was full.", ["reason"])

Clock = Callable[[], float]


class Crowd:
    """How many clients ask: those who have asked in this second or in the one before, whichever were more."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._second = self._now = self._before = 0

    def look(self) -> None:
        """Look at the clock; whoever notes clients does so again and again."""
        second = int(self._clock())
        if second != self._second:
            self._before = self._now if second == self._second + 1 else 0
            self._second, self._now = second, 0

    def note(self, last_second: int) -> int:
        """Count a client, who was counted last in the second of that number; the number of this one, to be told next time."""
        if last_second != self._second:
            self._now += 1
        return self._second

    @property
    def size(self) -> int:
        """How many they are."""
        return max(self._now, self._before)


class Limit:
    """How much may wait in one queue."""

    def __init__(self, reason: str, usual: int, overloaded: int, crowd: Crowd, clock: Clock = time.monotonic) -> None:
        """``usual`` and ``overloaded``: how many may wait; ``reason`` is the label of those that may not in the metrics."""
        self._usual = usual
        self._overloaded = min(overloaded, usual)
        self._crowd = crowd
        self._clock = clock
        self._refused_at = float("-inf")
        self._refused = REFUSED.labels(reason)

    def look(self) -> None:
        """Look at the clock for the crowd."""
        self._crowd.look()

    @property
    def is_overloaded(self) -> bool:
        """Whether more is asked than can be answered."""
        return self._clock() - self._refused_at < CALM_SECONDS and self._crowd.size > self._usual

    def takes(self, waiting: int) -> bool:
        """Whether one more may wait beside so many; whoever hears no has to be refused."""
        if waiting < self._most:
            return True
        self._refused_at = self._clock()
        self._refused.inc()
        return False

    @property
    def _most(self) -> int:
        if self._crowd.size <= self._usual:
            return self._usual
        return self._overloaded if self.is_overloaded else max(-(-self._usual // BURST_OF_A_CROWD), self._overloaded)


class Turns:
    """How long a request may have waited until the event loop has read it.

    In each turn the loop asks the system which connections have something to be read, reads all of them, and then runs the
    tasks of what it has let in. So what it reads in one turn came after it has asked for the turn before, unless it had nothing
    to do in between. However many come, the first one of a turn is answered, and answers get as much time as refusals. For one
    event loop.
    """

    def __init__(self, longest_wait_seconds: float, limit: Limit, clock: Clock = time.perf_counter) -> None:
        """``limit``: how many requests of one turn may wait for longer."""
        self._longest_wait_seconds = longest_wait_seconds
        self._limit = limit
        self._clock = clock
        self._requests = self._answered = 0
        self._task_seconds = 0.0
        """What the tasks of one answer have taken lately."""
        self._asked_at: float | None = None
        self._since: float | None = None
        """When the loop has asked for the turn before this one; None where it has had nothing to do since."""
        self._began_at = 0.0
        self._seconds = self._refusal_seconds = 0.0
        """What has gone by with requests, and of that with refusals; what is long past counts less."""
        self._refused_at: float | None = None
        """When the last request was refused; None where it was answered."""

    def take(self) -> bool:
        """Count a request that has been read; whether it shall be answered."""
        now = self._clock()
        if not self._requests:
            self._begin(now)
        elif self._refused_at is not None:
            self._note_refusal(now)
        is_answered = self._is_soon(now) or not self._requests or self._is_owed(now) or self._limit.takes(self._requests)
        self._requests += 1
        if is_answered:
            self._answered += 1
        else:
            self._refused_at = now
        return is_answered

    def _is_soon(self, now: float) -> bool:
        if self._since is None:
            return True
        return now - self._since + self._answered * self._task_seconds <= self._longest_wait_seconds

    def _is_owed(self, now: float) -> bool:
        seconds = self._seconds + now - self._began_at + self._answered * self._task_seconds
        return seconds < 2 * self._refusal_seconds and self._limit.is_overloaded

    def _note_refusal(self, now: float) -> None:
        """What has gone by since the last request was for its refusal."""
        if self._refused_at is not None:
            self._refusal_seconds += now - self._refused_at
            self._refused_at = None

    def _begin(self, now: float) -> None:
        self._note_tasks(now)
        self._limit.look()
        self._began_at = now
        if self._since is None:
            self._since = self._asked_at = now
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        """All has been read; the loop runs the tasks, and then asks for the next turn."""
        now = self._clock()
        self._note_refusal(now)
        self._seconds += now - self._began_at
        if self._seconds > REMEMBERED_SECONDS:
            self._seconds, self._refusal_seconds = self._seconds / 2, self._refusal_seconds / 2
        self._requests = 0
        self._since, self._asked_at = self._asked_at, now
        asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """The loop has asked, and what it has found has been read."""
        if not self._requests:
            self._note_tasks(self._clock())
            self._since = self._asked_at = None

    def _note_tasks(self, now: float) -> None:
        """What has gone by since all had been read was for the tasks of those that were let in."""
        if self._asked_at is not None and self._answered:
            seconds = now - self._asked_at
            self._seconds += seconds
            self._task_seconds += (seconds / self._answered - self._task_seconds) / SMOOTHED_TURNS
        self._answered = 0
