"""Decides where a computation runs: small ones at once on the event loop, large ones in a few threads."""

import os
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from service.errors import TooManyRequests

Result = TypeVar("Result")

INLINE_BYTES = 64 * 1024
"""Bodies up to this size are read and encoded in less time than a thread takes to come and go twice."""
INLINE_OPERATIONS = 2_000_000
"""Rows times parameters up to which an engine answers within about a millisecond."""
MAX_WAITING = 64
"""Large computations that may wait for a thread."""


class Workbench:
    """Runs computations of one event loop, at most ``threads`` large ones at once and ``max_waiting`` in the queue."""

    def __init__(self, threads: int = os.cpu_count() or 1, max_waiting: int = MAX_WAITING) -> None:
        self._limiter = CapacityLimiter(threads)
        self._max_admitted = threads + max_waiting
        self._admitted = 0

    async def run(self, work: Callable[[], Result], body_bytes: int, operations: int = 0) -> Result:
        """The result of ``work()``. Raises TooManyRequests when it is large and the queue is full."""
        if body_bytes <= INLINE_BYTES and operations <= INLINE_OPERATIONS:
            return work()
        if self._admitted >= self._max_admitted:
            raise TooManyRequests(
                "This process computes as many large predictions as it can. Send the request again later."
            )
        self._admitted += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._admitted -= 1
