import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from service.serving.cache import EngineCache


@dataclass(frozen=True)
class Engine:
    size_bytes: int


def test_an_engine_is_loaded_once_and_then_kept() -> None:
    cache: EngineCache[Engine] = EngineCache(100)

    first = cache.get_or_load("a", lambda: Engine(10))

    assert cache.get_or_load("a", lambda: pytest.fail("loaded twice")) is first
    assert cache.get("a") is first
    assert cache.get("b") is None


def test_the_least_recently_used_engine_goes_first() -> None:
    cache: EngineCache[Engine] = EngineCache(100)
    for key in "abc":
        cache.get_or_load(key, lambda: Engine(33))

    cache.get("a")
    cache.get_or_load("d", lambda: Engine(33))

    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]
    assert cache.loaded_bytes == 99


def test_a_new_engine_is_loaded_before_an_old_one_goes() -> None:
    cache: EngineCache[Engine] = EngineCache(100)
    old = cache.get_or_load("old", lambda: Engine(80))

    def load() -> Engine:
        assert cache.get("old") is old
        return Engine(80)

    new = cache.get_or_load("new", load)

    assert (cache.get("old"), cache.get("new")) == (None, new)


def test_the_engine_loaded_last_stays_even_when_it_is_over_the_limit() -> None:
    cache: EngineCache[Engine] = EngineCache(100)

    engine = cache.get_or_load("huge", lambda: Engine(1000))

    assert cache.get("huge") is engine
    assert cache.loaded_bytes == 1000


def test_callers_of_one_key_share_one_load() -> None:
    cache: EngineCache[Engine] = EngineCache(100)
    started, may_end, loads = threading.Event(), threading.Event(), []

    def load() -> Engine:
        loads.append(1)
        started.set()
        assert may_end.wait(5)
        return Engine(10)

    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(cache.get_or_load, "a", load) for _ in range(4)]
        assert started.wait(5)
        other = cache.get_or_load("b", lambda: Engine(10))  # another key does not wait
        may_end.set()
        engines = {id(future.result(5)) for future in waiting}

    assert len(engines) == len(loads) == 1
    assert other.size_bytes == 10


def test_a_failed_load_is_tried_again_by_the_next_caller() -> None:
    cache: EngineCache[Engine] = EngineCache(100)

    def fail() -> Engine:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        cache.get_or_load("a", fail)

    assert cache.get_or_load("a", lambda: Engine(10)).size_bytes == 10


def test_many_threads_never_leave_more_than_the_limit() -> None:
    cache: EngineCache[Engine] = EngineCache(100)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: cache.get_or_load(n % 20, lambda: Engine(10)), range(2000)))

    assert cache.loaded_bytes == sum(10 for key in range(20) if cache.get(key)) <= 100
