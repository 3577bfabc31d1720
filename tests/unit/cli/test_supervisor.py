"""The supervisor, with children that are one line of Python."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.cli.supervisor import EARLY_SECONDS, LONGEST_RESTART_SECONDS, Child, GaveUp, Supervisor

SLEEPS = "import time; time.sleep(60)"
IGNORES_SIGTERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def python_child(name: str, code: str) -> Child:
    return Child(name, [sys.executable, "-c", code])


@pytest.fixture(autouse=True)
def _restore_handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


def stop_when(condition: Callable[[], bool], number: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """An ``on_tick`` that sends this process a signal, once, when the condition holds."""
    is_sent = False

    def tick() -> None:
        nonlocal is_sent
        if not is_sent and condition():
            is_sent = True
            os.kill(os.getpid(), number)

    return tick


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_requested_stop_ends_every_child(number: signal.Signals) -> None:
    children = [python_child("one", SLEEPS), python_child("two", SLEEPS)]
    pids: list[int] = []

    def both_run() -> bool:
        pids[:] = [child.process.pid for child in children if child.process]
        return len(pids) == 2

    Supervisor(children, stop_seconds=10, on_tick=stop_when(both_run, number)).run()
    assert len(pids) == 2
    assert not any(map(is_running, pids))


def test_a_child_that_dies_is_started_again() -> None:
    child = python_child("mortal", SLEEPS)
    pids: set[int] = set()

    def kill_the_first() -> bool:
        if child.process:
            pids.add(child.process.pid)
            if len(pids) == 1:
                child.process.kill()
        return len(pids) == 2

    Supervisor([child], stop_seconds=10, on_tick=stop_when(kill_the_first)).run()
    assert len(pids) == 2


def test_a_child_that_keeps_dying_is_given_up_and_the_others_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.cli.supervisor.FIRST_RESTART_SECONDS", 0.01)
    healthy = python_child("healthy", SLEEPS)
    with pytest.raises(GaveUp, match="The broken died 5 times in a row soon after its start") as failure:
        Supervisor([healthy, python_child("broken", "raise SystemExit(7)")], stop_seconds=10).run()
    assert "last exit code 7" in str(failure.value)
    assert failure.value.exit_code == 1
    assert healthy.process is None


def test_a_child_with_a_configuration_error_is_not_started_again() -> None:
    with pytest.raises(GaveUp, match="cannot work with this configuration") as failure:
        Supervisor([python_child("misconfigured", "raise SystemExit(78)")], stop_seconds=10).run()
    assert failure.value.exit_code == 78


def test_the_delay_before_a_restart_grows_until_the_child_has_lived_for_a_while() -> None:
    child = python_child("mortal", SLEEPS)
    assert [child.plan_restart(1, now) for now in (0.0, 1.0, 2.0)] == [0.5, 1.0, 2.0]
    assert child.plan_restart(1, EARLY_SECONDS) == 0.5


def test_a_child_that_has_worked_is_never_given_up() -> None:
    child = python_child("mortal", SLEEPS)
    child.plan_restart(1, EARLY_SECONDS)
    assert [child.plan_restart(1, 1.0) for _ in range(20)][-1] == LONGEST_RESTART_SECONDS


@pytest.mark.parametrize("code", [75, -signal.SIGKILL])
def test_a_child_that_finds_something_away_or_was_killed_is_started_again_and_again(code: int) -> None:
    child = python_child("mortal", SLEEPS)
    assert [child.plan_restart(code, 1.0) for _ in range(20)][-1] == LONGEST_RESTART_SECONDS


def test_a_child_that_was_asked_to_stop_by_somebody_else_is_replaced_at_once() -> None:
    child = python_child("leaving", SLEEPS)
    assert child.plan_restart(0, EARLY_SECONDS) == 0


def test_a_child_that_does_not_stop_is_killed_after_its_time() -> None:
    child = python_child("stubborn", IGNORES_SIGTERM)
    begun = time.monotonic()
    Supervisor([child], stop_seconds=0.5, on_tick=stop_when(lambda: time.monotonic() - begun > 1)).run()
    assert child.process is None
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_child_without_a_stop_signal_gets_the_supervisors(number: signal.Signals) -> None:
    child = python_child("listening", SLEEPS)
    child.stop_signal = None
    started: list[subprocess.Popen[bytes]] = []

    def is_started() -> bool:
        started[:] = [child.process] if child.process else []
        return bool(started)

    Supervisor([child], stop_seconds=10, on_tick=stop_when(is_started, number)).run()
    assert started[0].returncode in {-number, 1}, "Python turns an interrupt into an exception"


def test_a_second_sigterm_is_passed_on_to_such_a_child() -> None:
    child = python_child("patient", f"import signal; signal.signal(15, lambda *_: signal.signal(15, signal.SIG_DFL)); {SLEEPS}")
    child.stop_signal = None
    begun = time.monotonic()
    again = threading.Timer(2, os.kill, (os.getpid(), signal.SIGTERM))
    again.start()
    Supervisor([child], stop_seconds=60, on_tick=stop_when(lambda: time.monotonic() - begun > 1)).run()
    again.join()
    assert time.monotonic() - begun < 10


def test_the_end_of_a_child_is_told_each_time() -> None:
    child = python_child("mortal", "pass")
    ends: list[float] = []
    child.on_end = lambda: ends.append(time.monotonic())
    Supervisor([child], stop_seconds=10, on_tick=stop_when(lambda: len(ends) == 2)).run()
    assert len(ends) >= 2


def test_a_second_ctrl_c_does_not_wait() -> None:
    child = python_child("stubborn", IGNORES_SIGTERM)
    begun = time.monotonic()
    impatience = threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT))
    impatience.start()
    tick = stop_when(lambda: time.monotonic() - begun > 1, signal.SIGINT)
    Supervisor([child], stop_seconds=60, on_tick=tick).run()
    impatience.join()
    assert time.monotonic() - begun < 10


def test_what_a_dead_child_left_in_its_group_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
        import pathlib, subprocess, sys
        left = subprocess.Popen([sys.executable, "-c", {SLEEPS!r}])
        pathlib.Path({str(note)!r}).write_text(str(left.pid))
        raise SystemExit(78)
    """
    with pytest.raises(GaveUp):
        Supervisor([python_child("parent", textwrap.dedent(code))], stop_seconds=10).run()
    deadline = time.monotonic() + 5
    while is_running(int(note.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(note.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_supervisor_leaves_no_child(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"""
        import os, pathlib, time
        from service.cli.lineage import follow_parent
        follow_parent()
        pathlib.Path({str(note)!r}).write_text(str(os.getpid()))
        time.sleep(60)
    """
    supervisor = f"""
        import sys
        from service.cli.supervisor import Child, Supervisor
        Supervisor([Child("child", [sys.executable, "-c", {textwrap.dedent(child)!r}])], stop_seconds=10).run()
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(supervisor)]) as process:
        while not (note.exists() and note.read_text()):
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + 5
    while is_running(int(note.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(note.read_text()))
