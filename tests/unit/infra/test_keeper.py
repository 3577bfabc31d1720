"""A thread that does one thing after the other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.infra.keeper import Keeper, KeeperClosed


def test_all_work_is_done_by_one_thread_in_its_order() -> None:
    keeper, done = Keeper("test"), []
    keeper.submit(lambda: done.append(threading.get_ident()))
    for number in range(3):
        keeper.post(lambda number=number: done.append(number))
    thread = keeper.submit(threading.get_ident).result()
    keeper.close()

    assert done == [thread, 0, 1, 2]
    assert thread != threading.get_ident()


def test_an_error_reaches_who_asked_and_no_other() -> None:
    keeper = Keeper("test")
    with pytest.raises(ZeroDivisionError):
        keeper.submit(lambda: 1 / 0).result()
    assert keeper.submit(lambda: 2).result() == 2
    keeper.close()


def test_what_waits_when_it_is_closed_is_done_and_what_comes_later_is_refused() -> None:
    keeper, begun, may_end = Keeper("test"), threading.Event(), threading.Event()

    def wait() -> str:
        begun.set()
        assert may_end.wait(5)
        return "first"

    with ThreadPoolExecutor(1) as threads:
        first = keeper.submit(wait)
        assert begun.wait(5)
        second = keeper.submit(lambda: "second")
        closing = threads.submit(keeper.close)
        may_end.set()
        closing.result(5)
    assert (first.result(), second.result()) == ("first", "second")
    with pytest.raises(KeeperClosed):
        keeper.submit(lambda: None)
    keeper.post(lambda: None)


def test_closing_one_that_never_worked_ends_nothing() -> None:
    keeper = Keeper("test")
    keeper.close()
    assert "test" not in {thread.name for thread in threading.enumerate()}
