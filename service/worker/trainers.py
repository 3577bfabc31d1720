"""Trainer processes as the worker sees them: start, speak over the pipe, end. Knows no runs and no database."""

import contextlib
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, cast

from service.infra.child import inherited_environment, kill_group
from service.infra.logging import get_logger
from service.infra.memory import resident_bytes
from service.spec.frames import Command, Ready, Report, read_frame, report_decoder, write_frame

log = get_logger(__name__)

STOP_SECONDS = 5.0
MAX_LINE_BYTES = 8192
MAX_PRINTED_LINES = 1000
LAST_WORDS_SECONDS = 1.0


class TrainerGone(Exception):
    """The process has ended; ``returncode`` is negative for the signal that killed it."""

    def __init__(self, returncode: int) -> None:
        super().__init__(f"The trainer ended with {returncode}.")
        self.returncode = returncode


class Trainer:
    """One child process with TensorFlow loaded, which fits one run at a time."""

    def __init__(self, name: str, module: str, threads: int) -> None:
        self._name = name
        self._temporary = tempfile.TemporaryDirectory(prefix="fitserve-trainer-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and a module of the settings
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(threads) | {"TMPDIR": self._temporary.name},
            start_new_session=True,
        )
        self.exceeded_memory_bytes: int | None = None
        """What it used when it was killed for using too much."""
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        self._printed: deque[str] = deque(maxlen=MAX_PRINTED_LINES)
        self._listener = threading.Thread(target=self._read_output, name="trainer-output", daemon=True)
        self._listener.start()
        self._reader = threading.Thread(target=self._read_reports, name="trainer-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the trainer."""
        return self._process.pid

    def memory_bytes(self) -> int:
        """Memory that it uses now; 0 where that cannot be known."""
        return resident_bytes(self.pid)

    def take_printed(self) -> list[str]:
        """The lines that it has printed since the last call."""
        lines = []
        while self._printed:
            lines.append(self._printed.popleft())
        return lines

    def _read_reports(self) -> None:
        stream = cast(BinaryIO, self._process.stdout)
        try:
            while (report := read_frame(stream, report_decoder)) is not None:
                self._reports.put(report)
        except ValueError as error:  # msgspec's errors are ValueErrors too
            log.error("trainer.spoke_nonsense", pid=self.pid, reason=str(error)[:200])
            kill_group(self._process)
        self._listener.join(LAST_WORDS_SECONDS)
        self._reports.put(None)

    def _read_output(self) -> None:
        stream = cast(BinaryIO, self._process.stderr)
        while line := stream.readline(MAX_LINE_BYTES):
            text = line.decode(errors="replace").rstrip()
            self._printed.append(text)
            log.info("trainer.printed", trainer=self._name, line=text)

    def send(self, command: Command) -> None:
        """Give the trainer a command. Raises TrainerGone."""
        try:
            write_frame(cast(BinaryIO, self._process.stdin), command)
        except (BrokenPipeError, OSError):
            raise TrainerGone(self._process.wait()) from None

    def receive(self, timeout_seconds: float) -> Report | None:
        """The next report, or None when there is none within the time. Raises TrainerGone after the last one."""
        try:
            report = self._reports.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        if report is None:
            self._reports.put(None)  # whoever asks again gets the same answer
            raise TrainerGone(self._process.wait())
        return report

    def await_ready(self, stopping: threading.Event) -> Ready | None:
        """Wait until TensorFlow is loaded; None when ``stopping`` is set first. Raises TrainerGone."""
        while not stopping.is_set():
            report = self.receive(0.2)
            if isinstance(report, Ready):
                return report
        return None

    def stop(self) -> None:
        """End the process: closing its input asks it to, and a kill follows."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        kill_group(self._process)  # what it may have started, and not waited for
        for thread, stream in ((self._reader, self._process.stdout), (self._listener, self._process.stderr)):
            thread.join(STOP_SECONDS)
            if stream is not None:
                stream.close()
        self._temporary.cleanup()

    def kill(self, exceeded_memory_bytes: int | None = None) -> None:
        """End the process at once, with all that it has started."""
        self.exceeded_memory_bytes = self.exceeded_memory_bytes or exceeded_memory_bytes
        kill_group(self._process)
        self._process.wait()


class TrainerStarter:
    """Starts all trainers from one thread that lives as long as the worker.

    A trainer asks the kernel to be killed with its parent, and that means the *thread* which started it.
    """

    def __init__(self, module: str, threads: int) -> None:
        self._module = module
        self._threads = threads
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trainer-starter")

    def start(self, name: str) -> Trainer:
        """A new trainer, which is not ready yet; ``name`` stands in the log beside what it prints."""
        return self._executor.submit(Trainer, name, self._module, self._threads).result()

    def close(self) -> None:
        """Let the thread end, after all trainers have."""
        self._executor.shutdown()


def _environment(threads: int) -> dict[str, str]:
    return inherited_environment() | {"FITSERVE_TRAINER_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
