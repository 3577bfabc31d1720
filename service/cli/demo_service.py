"""Starting and stopping the service for the demo, so that no end of the demo leaves a process behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from service.cli.demo_client import DemoFailed
from service.cli.lineage import PARENT_VARIABLE, child_environment
from service.cli.listening import base_url, handed_over, open_listener
from service.cli.supervisor import STOP_MARGIN_SECONDS
from service.cli.up import answers
from service.errors import FitserveError
from service.settings import Settings

READY_SECONDS = 60.0
POLL_SECONDS = 0.1
SHOWN_LOG_LINES = 15
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody asked the demo to stop. No error, so that nothing that handles errors holds it up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block a signal that asks to stop raises Interrupted."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    previous = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def listener_for_demo(settings: Settings, is_port_chosen: bool) -> socket.socket:
    """A socket on the configured port; on a free one where that is taken and nobody insisted on it."""
    try:
        return open_listener(settings.host, settings.port)
    except FitserveError:
        if is_port_chosen:
            raise
        return open_listener(settings.host, 0)


class DemoService:
    """A ``fitserve up`` of our own, in a session of its own, writing to ``demo.log`` in the data folder."""

    def __init__(self, settings: Settings, listener: socket.socket, keep: bool) -> None:
        self.url = base_url(listener)
        self.log = settings.data_dir / "demo.log"
        self._stop_seconds = settings.shutdown_grace_seconds + 2 * STOP_MARGIN_SECONDS
        self._is_ours = True
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  # our own command line, no shell
                [sys.executable, "-m", "service.cli", "up", "--data-dir", str(settings.data_dir)],
                env=_environment(listener, keep),
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process to send SIGTERM to, to stop the service."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return once it can answer. Raises DemoFailed with the end of the log when that does not come to pass."""
        deadline = time.monotonic() + READY_SECONDS
        while not answers(f"{self.url}/readyz"):
            self.require_alive()
            if time.monotonic() > deadline:
                raise DemoFailed(f"The service was not ready within {READY_SECONDS:.0f} seconds.\n{self._log_end()}")
            time.sleep(POLL_SECONDS)

    def require_alive(self) -> None:
        """Raise DemoFailed with the end of the log when the service has ended."""
        code = self._process.poll()
        if code is not None:
            raise DemoFailed(f"The service ended with code {code}. The end of {self.log}:\n{self._log_end()}")

    def leave_running(self) -> None:
        """Do not stop it at the end."""
        self._is_ours = False

    def stop(self) -> None:
        """Stop it, unless it shall be left running; another Ctrl-C makes it hurry."""
        if not self._is_ours:
            return
        for number in STOP_SIGNALS:
            signal.signal(number, self._hurry)
        self._process.terminate()
        try:
            self._process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()  # what it started ends with it
            self._process.wait()

    def _hurry(self, _number: int, _frame: FrameType | None) -> None:
        self._process.send_signal(signal.SIGINT)

    def _log_end(self) -> str:
        lines = _read_from(self.log, self._log_start).splitlines()
        return "\n".join(f"  {line}" for line in lines[-SHOWN_LOG_LINES:])


@contextmanager
def running_service(settings: Settings, listener: socket.socket, keep: bool) -> Iterator[DemoService]:
    """A service for the length of the block. Takes the listener over."""
    with listener:
        service = DemoService(settings, listener, keep)
    try:
        yield service
    finally:
        service.stop()


def _environment(listener: socket.socket, keep: bool) -> dict[str, str]:
    environment = child_environment(handed_over(listener))
    if keep:
        del environment[PARENT_VARIABLE]  # it shall outlive us
    return {**environment, "PYTHONUNBUFFERED": "1"}


def _read_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset, os.SEEK_SET)
        return file.read().decode(errors="replace")
