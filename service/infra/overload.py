"""Says when more is asked than can be answered, so that the rest is refused at once. Knows no HTTP.

Every queue has two limits. The usual one is wide: what comes in a burst waits, but is answered. Once it was reached, a narrow one
holds, so that what is accepted does not wait long, until nobody had to be refused for a second; now and then one a little wider
is tried. Where as many had to be refused as the queue holds, it was no burst, and those who still wait in it are refused, too:
they would only have late answers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from prometheus_client import Counter

CALM_SECONDS = 1.0
"""A queue that has refused nobody for so long is a usual one again."""
TRIED_AFTER_SECONDS = 2.0
"""After so long without a try, a limit between both is tried. Two requests that come together by chance are one too many for a
narrow queue, and without this it would not be calm for long after the load is a usual one."""
TRIED_TIMES, TRIED_AT_LEAST = 4, 8
"""How much longer than the narrow limit that one is, and so how long some wait for the try; and what it is at least."""
LONGEST_SECONDS = 60.0
"""After so long the usual limit is tried in any case: a few clients that ask again as soon as they are refused would never let a
queue be calm that has room for all of them."""
UNHURRIED_SECONDS = 0.02
"""How long requests may begin in one turn while nobody has to be refused: to wait for another turn costs some time, too."""
BESIDE_REFUSING = 1 / 3
"""Answers may take this part of the time that reading and refusing takes. With as much as that, reading would never catch up with
what comes as soon as it takes half of the time."""
REMEMBERED = 500
"""Requests by which the time of one is measured: some do nothing but wait for something at first, and then go on all at once."""
UNKNOWN = 2
"""How many requests begin in one turn while nobody knows how long one takes."""
REFUSED = Counter("fitserve_requests_refused", "Requests that were refused under load, by what was full.", ["reason"])

Clock = Callable[[], float]


class Limit:
    """How much may wait in one queue."""

    def __init__(self, reason: str, usual: int, overloaded: int, clock: Clock = time.perf_counter) -> None:
        """``usual`` and ``overloaded``: how many may wait; ``reason`` is the label of those that may not in the metrics."""
        self._usual = usual
        self._overloaded = min(overloaded, usual)
        self._tried = min(max(TRIED_TIMES * overloaded, TRIED_AT_LEAST), usual)
        self._clock = clock
        self._overloaded_since = self._narrow_since = self._refused_at = self._given_up_at = float("-inf")
        self._refusals = 0
        """Since the queue was full."""
        self._refused = REFUSED.labels(reason)

    @property
    def is_overloaded(self) -> bool:
        """Whether more is asked than can be answered."""
        now = self._clock()
        return now - self._refused_at < CALM_SECONDS and now - self._overloaded_since < LONGEST_SECONDS

    def takes(self, waiting: int) -> bool:
        """Whether one more may wait beside so many; whoever hears no has to be refused."""
        is_overloaded = self.is_overloaded
        under_load = self._tried if self._is_trying else self._overloaded
        if waiting < (under_load if is_overloaded else self._usual):
            return True
        self._note_refusal(is_overloaded)
        return False

    @property
    def _is_trying(self) -> bool:
        return self._clock() - self._narrow_since >= TRIED_AFTER_SECONDS

    def has_given_up(self, since: float) -> bool:
        """Whether one who has waited since a time of the clock has to be refused."""
        if since >= self._given_up_at:
            return False
        self._refused.inc()
        return True

    def _note_refusal(self, is_overloaded: bool) -> None:
        now = self._clock()
        if not is_overloaded:
            self._overloaded_since, self._refusals = now, 0
        if not is_overloaded or self._is_trying:
            self._narrow_since = now
        self._refused_at = now
        self._refused.inc()
        self._refusals += 1
        if self._refusals == self._usual:
            self._given_up_at = now


class Turns:
    """Lets requests that have been read begin in short turns; for one event loop.

    The loop reads what has come at all connections, then runs what is ready, and so on. Were everything begun that has been read,
    this would keep it for as long as all of it takes, and nobody could be refused meanwhile. So what begins in one turn takes a
    few milliseconds, or a part of the time that reading and refusing have taken, and the rest waits for a later turn.
    """

    def __init__(self, longest_wait_seconds: float, limit: Limit, clock: Clock = time.perf_counter) -> None:
        """``limit``: how many may wait; while it is overloaded, nobody is let in who would wait longer than about this."""
        self._longest_wait_seconds = longest_wait_seconds
        self._limit = limit
        self._clock = clock
        self._waiting: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._let_in = 0
        """Requests that were read in this turn, and have neither begun nor wait in the queue yet."""
        self._begun = 0
        """Requests that have begun in this turn."""
        self._is_stepping = False
        """Whether the loop is going to call ``_step``."""
        self._stepped_at: float | None = None
        """When it has called it last; None where it may have had nothing to do since."""
        self._reading_since: float | None = None
        self._read_until: float | None = None
        self._answering_seconds = 0.0
        """What answers have taken while the loop has read."""
        self._since = 0.0
        """When the loop has begun to read, or to run what is ready."""
        self._share_seconds = UNHURRIED_SECONDS
        """How long those may take that begin in one turn."""
        self._counted = 0.0
        self._counted_seconds = 0.0
        """How many have begun, and how long the loop has worked on them; what is long past counts less."""

    def take(self) -> bool:
        """Count a request whose head has been read; whether it is let in."""
        if self._reading_since is None:
            self._reading_since = self._since = self._clock()
            self._read_until = None
            self._go_on()
        waiting = len(self._waiting) + self._let_in
        is_soon = waiting < max(1, self._in_one_turn - 1)  # the last one that is thought to fit may have to wait for a turn more
        is_let_in = (is_soon and self._limit.is_overloaded) or self._limit.takes(waiting)
        self._let_in += is_let_in
        return is_let_in

    def may_begin(self) -> bool:
        """Whether a request that was let in may begin at once: also where it has been read, and it may be answered there."""
        return not self._waiting and self._clock() - self._since < self._share_seconds

    def leave(self, seconds: float) -> None:
        """A request that was let in has been answered where it was read, which has taken so long."""
        self._let_in -= 1
        self._begun += 1
        self._answering_seconds += seconds

    async def wait(self) -> bool:
        """Wait until one that was let in may begin; false where it has waited in vain, and has to be refused."""
        if not self._is_stepping:
            self._since = self._clock()
            self._go_on()
        if not self.may_begin():
            future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._waiting.append((self._clock(), future))
            if not await future:
                return False
        self._begun += 1
        self._read_until = self._read_until or self._clock()
        return True

    @property
    def _in_one_turn(self) -> float:
        """How many may begin in one turn."""
        return max(1, self._share_seconds * self._counted / self._counted_seconds) if self._counted_seconds else UNKNOWN

    def _go_on(self) -> None:
        if not self._is_stepping:
            self._is_stepping = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        """All has been read, and those have begun that were let begin before; now the next ones are."""
        is_over = not self._begun and self._reading_since is None and not self._waiting
        self._look_back(self._clock(), is_over)
        self._is_stepping = False
        self._let_begin()
        if not is_over:
            self._go_on()

    def _look_back(self, now: float, is_over: bool) -> None:
        reading_seconds = 0.0
        if self._reading_since is not None:
            reading_seconds = (self._read_until or now) - self._reading_since - self._answering_seconds
            least_seconds = self._longest_wait_seconds if self._limit.is_overloaded else UNHURRIED_SECONDS
            self._share_seconds = max(least_seconds, BESIDE_REFUSING * reading_seconds)
        if self._stepped_at is not None and not is_over:
            self._counted += self._begun
            self._counted_seconds += now - self._stepped_at - reading_seconds
            if self._counted > REMEMBERED:
                self._counted, self._counted_seconds = self._counted / 2, self._counted_seconds / 2
        self._stepped_at = None if is_over else now
        self._since = now - self._answering_seconds  # which was a part of their share
        self._answering_seconds = 0.0
        self._reading_since = None
        self._let_in = self._begun = 0

    def _let_begin(self) -> None:
        begun = 0
        while self._waiting and begun < self._in_one_turn:
            since, future = self._waiting.popleft()
            if future.done():  # its client has gone
                continue
            has_given_up = self._limit.has_given_up(since)
            future.set_result(not has_given_up)
            begun += not has_given_up
