"""Decides where a computation runs: small ones at once on the event loop, large ones in a few threads."""

import os
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from service.errors import TooManyRequests

Result = TypeVar("Result")

INLINE_BYTES = 64 * 1024
"""A body of this size is read strictly in about two milliseconds; the event loop shall not stand still longer."""
INLINE_OPERATIONS = 2_000_000
"""Rows times parameters: dense layers take a fraction of a millisecond; convolutions use a parameter often."""
MAX_WAITING = 64
"""Large computations that may wait for a thread."""


class Workbench:
    """Runs computations of one event loop, at most ``threads`` large ones at once and ``max_waiting`` in the queue."""

    def __init__(self, threads: int = os.cpu_count() or 1, max_waiting: int = MAX_WAITING) -> None:
        self._limiter = CapacityLimiter(threads)
        self._max_admitted = threads + max_waiting
        self._admitted = 0

    async def run(self, work: Callable[[], Result], body_bytes: int, operations: int = 0, may_run_inline: bool = True) -> Result:
        """The result of ``work()``. Raises TooManyRequests when it needs a thread and the queue is full."""
        if may_run_inline and body_bytes <= INLINE_BYTES and operations <= INLINE_OPERATIONS:
            return work()
        if self._admitted >= self._max_admitted:
            raise TooManyRequests("This process computes as many large predictions as it can. Send the request again later.")
        self._admitted += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._admitted -= 1
