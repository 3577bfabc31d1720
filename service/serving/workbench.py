"""Threads for computations that are too long for the event loop. Knows no HTTP and no database."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from service.errors import DeadlineExceeded, TooManyRequests
from service.infra.overload import Limit
from service.serving.stages import Stages

Result = TypeVar("Result")

INLINE_BYTES = 64 * 1024
"""A body of this size is read strictly in about two milliseconds; the event loop shall not stand still longer."""
INLINE_SECONDS = 0.001
"""An engine that answers as fast is asked at once: handing work to a thread and back costs a tenth of that."""
MAX_WAITING = 64
"""Computations that may wait for a thread."""


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workbench:
    """Runs computations of one event loop, at most ``threads`` at once (0: one per core) and ``max_waiting`` in the queue.

    While more is asked than it can do, as many wait as there are threads, so that those do not wait longer than they compute.
    """

    def __init__(
        self,
        threads: int = 0,
        max_waiting: int = MAX_WAITING,
        timeout_seconds: float = 30.0,
    ) -> None:
        self.threads = threads or usable_cores()
        self.timeout_seconds = timeout_seconds
        """How long a computation may take, waiting included."""
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="prediction")
        self._max_waiting = max_waiting
        self._limit = self.limit(self.threads)
        self._admitted = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[[], Result], stages: Stages, goes_on: bool = False) -> Result:
        """The result of ``work()`` in a thread. Raises TooManyRequests when the queue is full, or DeadlineExceeded.

        What ``goes_on`` with a request that has begun before is never refused. What has begun when its time is over goes on,
        and keeps its place until it ends.
        """
        if not (goes_on or self.has_room()):
            raise too_busy()
        with self._lock:
            self._admitted += 1
        submitted = time.perf_counter()

        def timed() -> Result:
            if not goes_on and self._limit.has_given_up(submitted):
                raise too_busy()
            stages.queue += time.perf_counter() - submitted
            return work()

        future = self._executor.submit(timed)
        future.add_done_callback(self._leave)
        return await self.in_time(asyncio.wrap_future(future))

    def limit(self, overloaded: int) -> Limit:
        """A limit as that of its own queue, but for what may wait while more is asked than can be done."""
        return Limit("predictions", self._max_waiting, overloaded)

    def has_room(self) -> bool:
        """Whether there is a place; who hears no has to be refused."""
        return self._limit.takes(self._admitted - self.threads)

    async def in_time(self, future: "asyncio.Future[Result]") -> Result:
        """The result of a future. Raises DeadlineExceeded."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await future
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"The prediction took longer than {self.timeout_seconds:g} seconds. Send fewer rows at once, or try again later."
            ) from error

    def close(self) -> None:
        """Let the threads end; what waits is given up."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: "Future[Result]") -> None:
        with self._lock:
            self._admitted -= 1


def too_busy() -> TooManyRequests:
    """The error of a full queue."""
    return TooManyRequests("This process computes as many predictions as it can. Send the request again later.")
