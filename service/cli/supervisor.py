"""Keeps child processes running: starts them, restarts them when they die, stops them all. Knows not what they do."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from service.cli.lineage import child_environment
from service.cli.options import EXIT_CONFIGURATION, EXIT_UNAVAILABLE
from service.infra.logging import get_logger

log = get_logger(__name__)

POLL_SECONDS = 0.1
MAX_EARLY_DEATHS = 5
EARLY_SECONDS = 10.0
"""A child that lives longer than this has begun its work."""
FIRST_RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 8.0
STOP_MARGIN_SECONDS = 5.0
"""What children get on top of their own grace before they are killed."""


class GaveUp(Exception):
    """A child cannot be kept running."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class Child:
    """One supervised program. It leads its own session, so that the terminal's Ctrl-C reaches only the supervisor."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is added to the supervisor's own environment."""
    pass_fds: Sequence[int] = ()
    stop_signal: signal.Signals | None = signal.SIGTERM
    """What asks it to stop; None passes on what the supervisor was sent, SIGINT or SIGTERM, and also a second one."""
    on_end: Callable[[], None] = lambda: None
    """Called each time it has ended by itself."""
    process: subprocess.Popen[bytes] | None = None
    early_deaths: int = 0
    """How often in a row it has died soon after its start."""
    has_worked: bool = False
    """Whether it has ever lived longer than that."""
    started_at: float = 0.0
    """Monotonic time of its last start."""
    start_at: float = 0.0
    """Monotonic time before which it is not started."""

    def start(self) -> None:
        """Start the program."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  # our own command line, no shell
            self.command,
            env=child_environment(self.environment),
            pass_fds=self.pass_fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def take_exit_code(self) -> int | None:
        """The exit code of a process that ended since the last look, else None. Also ends what it left behind."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self._kill_group(self.process)
        self.process = None
        self.on_end()
        return code

    def plan_restart(self, code: int, now: float) -> float:
        """Note a death and set the time of the next start; the delay in seconds. Raises GaveUp where that is no use.

        A child that has worked before is started again for ever: what keeps it from working may go by.
        """
        if code == EXIT_CONFIGURATION:
            raise GaveUp(f"The {self.name} cannot work with this configuration. Its reason is above.", code)
        is_early = now - self.started_at < EARLY_SECONDS
        self.has_worked |= not is_early
        self.early_deaths = self.early_deaths + 1 if is_early else 0
        is_crash = code not in (0, EXIT_UNAVAILABLE, -signal.SIGKILL)
        if is_crash and self.early_deaths >= MAX_EARLY_DEATHS and not self.has_worked:
            often = f"{self.early_deaths} times in a row soon after its start"
            raise GaveUp(f"The {self.name} died {often} (last exit code {code}). Its reason is in the log above.", 1)
        delay = 0.0
        if is_early or code != 0:
            delay = min(FIRST_RESTART_SECONDS * 2.0 ** max(self.early_deaths - 1, 0), LONGEST_RESTART_SECONDS)
        self.start_at = now + delay
        return delay

    def terminate(self, received: signal.Signals) -> None:
        """Ask it to stop; ``received`` is what has asked the supervisor."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal or received)

    def kill_and_wait(self) -> None:
        """Kill it with everything in its process group."""
        if self.process is not None:
            self._kill_group(self.process)
            self.process.wait()
            self.process = None

    def _kill_group(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: no permission for a group of zombies
            os.killpg(process.pid, signal.SIGKILL)


class Supervisor:
    """Runs children until it is asked to stop by SIGINT, SIGTERM or SIGHUP; a Ctrl-C after that kills them at once."""

    def __init__(
        self,
        children: Sequence[Child],
        stop_seconds: float,
        on_tick: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """``stop_seconds``: how long children may take to stop. ``on_tick``: called about ten times a second."""
        self._children = children
        self._stop_seconds = stop_seconds
        self._on_tick = on_tick
        self._on_stop = on_stop
        self._signals: list[int] = []

    def run(self) -> None:
        """Keep the children running until a stop is asked for. Raises GaveUp; either way none is left."""
        self._listen_to_signals()
        try:
            while not self._signals:
                self._start_those_due()
                self._look_after_deaths()
                self._on_tick()
                time.sleep(POLL_SECONDS)
        finally:
            self._stop_children()

    def _listen_to_signals(self) -> None:
        def note(number: int, _frame: FrameType | None) -> None:
            self._signals.append(number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, note)

    def _start_those_due(self) -> None:
        for child in self._children:
            if child.process is None and time.monotonic() >= child.start_at:
                child.start()

    def _look_after_deaths(self) -> None:
        for child in self._children:
            code = child.take_exit_code()
            if code is not None and not self._signals:
                delay = child.plan_restart(code, time.monotonic())
                log.warning("supervisor.child_died", child=child.name, exit_code=code, restart_in_seconds=delay)

    def _stop_children(self) -> None:
        self._on_stop()
        for child in self._children:
            child.terminate(signal.SIGINT if self._signals[:1] == [signal.SIGINT] else signal.SIGTERM)
        passed_on = len(self._signals)
        deadline = time.monotonic() + self._stop_seconds
        while self._running() and time.monotonic() < deadline and not self._is_impatient():
            if len(self._signals) > passed_on:
                passed_on = len(self._signals)
                self._hurry()
            time.sleep(POLL_SECONDS)
        for child in self._running():
            log.warning("supervisor.child_killed", child=child.name)
            child.kill_and_wait()

    def _hurry(self) -> None:
        for child in self._children:
            if child.stop_signal is None:  # others may lose work when they are asked twice
                child.terminate(signal.SIGTERM)

    def _is_impatient(self) -> bool:
        return len(self._signals) > 1 and self._signals[-1] == signal.SIGINT

    def _running(self) -> list[Child]:
        for child in self._children:
            child.take_exit_code()
        return [child for child in self._children if child.process is not None]
