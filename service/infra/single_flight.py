"""Does equal work that is asked for at the same time only once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Tasks by key, for one event loop. A task goes on when those who wait for it are cancelled."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Result]] = {}

    def start(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Result]]) -> "asyncio.Task[Result]":
        """The task under way for this key, or a new one of ``work()``. Nobody has to wait for it."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._forget(key, done))
        return task

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of the task under way for this key, or of a new one."""
        return await asyncio.shield(self.start(key, work))

    def _forget(self, key: Hashable, done: "asyncio.Task[Result]") -> None:
        del self._tasks[key]
        if not done.cancelled():
            done.exception()  # marks the error as seen: asyncio would log it where nobody waited
