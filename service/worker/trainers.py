"""Trainer processes as the worker sees them: start, speak over the pipe, end. Knows no runs and no database."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from service.infra.logging import get_logger
from service.spec.frames import Command, Ready, Report, read_frame, report_decoder, write_frame

log = get_logger(__name__)

STOP_SECONDS = 5.0
MAX_LOG_BYTES = 20 * 1024 * 1024


class TrainerGone(Exception):
    """The process has ended; ``returncode`` is negative for the signal that killed it."""

    def __init__(self, returncode: int) -> None:
        super().__init__(f"The trainer ended with {returncode}.")
        self.returncode = returncode


class Trainer:
    """One child process with TensorFlow loaded, which fits one run at a time."""

    def __init__(self, log_path: Path, threads: int) -> None:
        self._log = _open_log(log_path)
        environment = os.environ | {"FITSERVE_TRAINER_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service.training"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        threading.Thread(target=self._read_reports, name="trainer-reader", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the trainer."""
        return self._process.pid

    def _read_reports(self) -> None:
        stream = cast(BinaryIO, self._process.stdout)
        try:
            while (report := read_frame(stream, report_decoder)) is not None:
                self._reports.put(report)
        except ValueError as error:  # msgspec's errors are ValueErrors too
            log.error("trainer.spoke_nonsense", pid=self.pid, reason=str(error)[:200])
            self._process.kill()
        self._reports.put(None)

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
        self._log.close()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()


class TrainerStarter:
    """Starts all trainers from one thread that lives as long as the worker.

    A trainer asks the kernel to be killed with its parent, and that means the *thread* which started it.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trainer-starter")

    def start(self, name: str) -> Trainer:
        """A new trainer, which is not ready yet; its log goes to ``name`` in the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._executor.submit(Trainer, self._folder / f"{name}.log", self._threads).result()

    def close(self) -> None:
        """Let the thread end, after all trainers have."""
        self._executor.shutdown()


def _open_log(path: Path) -> BinaryIO:
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return path.open("ab")
