"""Keeps loaded engines in memory, the least recently used ones go first. Knows no HTTP, database or files."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Anything that knows how much memory it takes."""

    @property
    def size_bytes(self) -> int:
        """Bytes that it keeps in memory."""


Engine = TypeVar("Engine", bound=Sized)


class EngineCache(Generic[Engine]):
    """Loaded engines by key, at most ``max_bytes`` of them, safe to use from several threads.

    The engine loaded last stays even when it alone is over the limit. A caller that holds an engine may go on using it
    after it was let go.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._engines: OrderedDict[Hashable, Engine] = OrderedDict()
        self._loading: dict[Hashable, Future[Engine]] = {}
        self._loaded_bytes = 0
        self._latest: Hashable = None
        """The key asked for last, which need not be put last again."""

    @property
    def loaded_bytes(self) -> int:
        """Bytes of all engines in the cache."""
        return self._loaded_bytes

    def get(self, key: Hashable) -> Engine | None:
        """The loaded engine, or None. Never waits for a load."""
        engine = self._engines.get(key)
        if engine is not None and key != self._latest:
            with self._lock:
                if key in self._engines:
                    self._engines.move_to_end(key)
                    self._latest = key
        return engine

    def get_or_load(self, key: Hashable, load: Callable[[], Engine]) -> Engine:
        """The engine, loaded where it is missing: one load per key at a time, for which other callers wait.

        An error of ``load`` reaches all who wait for it; the next call tries again.
        """
        with self._lock:
            if key in self._engines:
                self._engines.move_to_end(key)
                self._latest = key
                return self._engines[key]
            under_way = self._loading.get(key)
            if under_way is None:
                mine = self._loading[key] = Future()
        return under_way.result() if under_way is not None else self._load(key, load, mine)

    def _load(self, key: Hashable, load: Callable[[], Engine], future: "Future[Engine]") -> Engine:
        try:
            engine = load()
        except BaseException as error:
            with self._lock:
                del self._loading[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._loading[key]
            self._engines[key] = engine
            self._latest = key
            self._loaded_bytes += engine.size_bytes
            self._let_go_of_the_oldest()
        future.set_result(engine)
        return engine

    def _let_go_of_the_oldest(self) -> None:
        while self._loaded_bytes > self._max_bytes and len(self._engines) > 1:
            _, engine = self._engines.popitem(last=False)
            self._loaded_bytes -= engine.size_bytes
