"""The process that builds models: it is limited, it may die at any time, and it is replaced."""

import importlib.util
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest

from service.errors import TooManyRequests
from service.infra.scratch import Scratch
from service.models import checker as checker_module
from service.models.checker import MAX_WAITING, MODULE, Checker, NotChecked
from service.spec.check_frames import Checked, CheckJob
from tests.acceptance.running import wait_until

MEBIBYTE = 1024 * 1024
JOB = CheckJob(definition={"layers": [{"type": "Dense", "units": 2}]}, compile=None, input_shapes=[[3]])
LONG_JOB = CheckJob(
    definition={"layers": [{"type": "LSTM", "units": 4, "return_sequences": True}] * 500}, compile=None, input_shapes=[[5, 4]]
)


@pytest.fixture
def checker(scratch: Scratch) -> Iterator[Checker]:
    checker = Checker(seconds=60, memory_bytes=1024 * MEBIBYTE, scratch=scratch)
    yield checker
    checker.close()
    assert processes() == []


def processes() -> list[psutil.Process]:
    """The checkers that this process has started."""
    return [child for child in psutil.Process().children() if MODULE in _command_line(child)]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []


def stopped_in_a_check(checker: Checker, executor: ThreadPoolExecutor) -> tuple[psutil.Process, "Future[Checked]"]:
    """A checker that is held up in the midst of a check, and that check."""
    checker.check(JOB)
    (process,) = processes()
    process.send_signal(signal.SIGSTOP)
    child = checker._process
    assert child is not None
    future = executor.submit(checker.check, JOB)
    wait_until(lambda: child.checks == 2, 10, "a check that has begun")
    return process, future


def test_a_model_is_built_and_the_process_stays_for_the_next(checker: Checker) -> None:
    first = checker.check(JOB)
    before = processes()

    assert first.problems == []
    assert first.layers is not None
    assert first.layers[0].weights[0].shape == [3, 2]
    assert checker.check(JOB) == first
    assert processes() == before


def test_a_check_whose_process_is_killed_says_so_and_the_next_one_works(checker: Checker) -> None:
    with ThreadPoolExecutor(1) as executor:
        process, future = stopped_in_a_check(checker, executor)
        process.kill()
        with pytest.raises(NotChecked) as lost:
            future.result(30)

    assert lost.value.cause == "crashed"
    assert checker.check(JOB).problems == []
    assert processes() != [process]


def test_a_process_that_was_killed_between_checks_is_replaced(checker: Checker) -> None:
    checker.check(JOB)
    (process,) = processes()
    process.kill()
    process.wait(10)

    assert checker.check(JOB).problems == []


def test_a_check_over_its_deadline_ends_and_the_next_one_works(scratch: Scratch) -> None:
    checker = Checker(seconds=30, memory_bytes=1024 * MEBIBYTE, scratch=scratch)
    try:
        with ThreadPoolExecutor(1) as executor:
            checker.check(JOB)
            checker._seconds = 1.0
            process, future = stopped_in_a_check(checker, executor)
            with pytest.raises(NotChecked) as late:
                future.result(30)
        assert late.value.cause == "too_slow"
        assert not process.is_running()
        checker._seconds = 30.0
        assert checker.check(JOB).problems == []
    finally:
        checker.close()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="address space is limited on Linux only")
def test_a_check_over_its_memory_ends(scratch: Scratch) -> None:
    checker = Checker(seconds=60, memory_bytes=1, scratch=scratch)
    try:
        with pytest.raises(NotChecked) as large:
            checker.check(LONG_JOB)
        assert large.value.cause in ("too_large", "crashed")  # some libraries crash where they get no memory
    finally:
        checker.close()


def test_the_process_cannot_write_files(checker: Checker) -> None:
    checker.check(JOB)
    (process,) = processes()

    assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert not any(name.startswith("FITSERVE_") for name in process.environ())


def test_a_worn_out_process_answers_until_another_is_ready(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker_module, "MAX_CHECKS", 2)
    checker.check(JOB)
    (worn_out,) = processes()
    checker.check(JOB)
    wait_until(lambda: len(processes()) == 2, 10, "a successor that is being loaded")

    assert checker.check(JOB).problems == []
    assert worn_out.is_running()
    monkeypatch.setattr(checker_module, "MAX_CHECKS", 1000)
    wait_until(lambda: checker.check(JOB).problems == [] and not worn_out.is_running(), 60, "a successor")
    assert len(processes()) == 1


def test_a_process_that_has_grown_gets_a_successor(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    checker.check(JOB)
    monkeypatch.setattr(checker_module, "resident_bytes", lambda pid: 2 * 1024**3)
    checker.check(JOB)

    wait_until(lambda: len(processes()) == 2, 10, "a successor that is being loaded")


def test_a_process_without_work_ends_and_the_next_check_starts_another(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker_module, "IDLE_SECONDS", 1)
    checker.check(JOB)
    (process,) = processes()
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 10, "the end of the process")

    monkeypatch.setattr(checker_module, "IDLE_SECONDS", 600)
    assert checker.check(JOB).problems == []


def test_more_than_a_few_do_not_wait(checker: Checker) -> None:
    with ThreadPoolExecutor(MAX_WAITING) as executor:
        process, _ = stopped_in_a_check(checker, executor)
        for _ in range(MAX_WAITING - 1):
            executor.submit(checker.check, JOB)
        wait_until(lambda: checker._waiting._value == 0, 10, "checks that wait")
        with pytest.raises(TooManyRequests):
            checker.check(JOB)
        process.send_signal(signal.SIGCONT)

    assert checker.check(JOB).problems == []


def test_without_keras_nothing_is_started(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(NotChecked) as absent:
        checker.check(JOB)

    assert absent.value.cause == "absent"
    assert processes() == []


def test_closing_ends_a_process_that_is_still_loading(scratch: Scratch) -> None:
    checker = Checker(seconds=60, memory_bytes=1024 * MEBIBYTE, scratch=scratch)
    outcome: list[str] = []

    def ask() -> None:
        with pytest.raises(NotChecked) as ended:
            checker.check(JOB)
        outcome.append(ended.value.cause)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: bool(processes()), 10, "a process")
    checker.close()
    thread.join(30)

    assert outcome == ["loading"]
    assert processes() == []
