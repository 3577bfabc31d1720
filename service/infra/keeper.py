"""One thread that does one thing after the other, for what must always be done by the same thread."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class KeeperClosed(Exception):
    """The keeper takes no more work."""


class Keeper:
    """Unlike an executor's, its queue takes work from finalizers too, which may run in the midst of anything."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def submit(self, work: Callable[[], Result]) -> "Future[Result]":
        """What ``work()`` will return or raise in the thread. Raises KeeperClosed."""
        future: Future[Result] = Future()
        with self._lock:
            if self._is_closed:
                raise KeeperClosed
            self._start()
            self._queue.put(lambda: _fulfil(future, work))
        return future

    def post(self, work: Callable[[], Any]) -> None:
        """Have ``work()``, which raises nothing, done some time unless the keeper is closed first. Never waits."""
        self._queue.put(work)

    def close(self) -> None:
        """Do what waits already, and end the thread."""
        with self._lock:
            self._is_closed = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
            del work  # what it was about shall not live until the next one comes


def _fulfil(future: "Future[Result]", work: Callable[[], Result]) -> None:
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
