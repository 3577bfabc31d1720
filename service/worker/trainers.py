"""Trainer processes as the worker sees them: start, speak over the pipe, end. Knows no runs and no database."""

import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import TimeoutExpired

from service.infra.child import Child, inherited_environment
from service.infra.logging import get_logger
from service.infra.memory import resident_bytes
from service.infra.scratch import Scratch, empty
from service.spec.frames import Command, Ready, Report, read_frame, report_decoder, write_frame

log = get_logger(__name__)

STOP_SECONDS = 5.0
MAX_PRINTED_LINES = 1000
LAST_WORDS_SECONDS = 1.0


class TrainerGone(Exception):
    """The process has ended; ``returncode`` is negative for the signal that killed it."""

    def __init__(self, returncode: int) -> None:
        super().__init__(f"The trainer ended with {returncode}.")
        self.returncode = returncode


class Trainer:
    """One child process with TensorFlow loaded, which fits one run at a time."""

    def __init__(self, name: str, module: str, threads: int, scratch: Scratch, cache: Path) -> None:
        """``cache``: a folder that it shares with others, the only one beside its own that it may write to."""
        self._name = name
        self._folders = ExitStack()
        self._folder = self._folders.enter_context(scratch.folder(name))
        self._printed: deque[str] = deque(maxlen=MAX_PRINTED_LINES)
        arguments = ["-m", module, str(self._folder), str(cache)]
        self._child = Child("trainer", arguments, _environment(threads), scratch, hear=self._note_line)
        self.exceeded_memory_bytes: int | None = None
        """What it used when it was killed for using too much."""
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_reports, name="trainer-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the trainer."""
        return self._child.pid

    def memory_bytes(self) -> int:
        """Memory that it uses now; 0 where that cannot be known."""
        return resident_bytes(self.pid)

    @contextmanager
    def job_folder(self) -> Iterator[Path]:
        """The folder that is its own, for one job: empty before it and after it."""
        try:
            yield self._folder
        finally:
            empty(self._folder)

    def take_printed(self) -> list[str]:
        """The lines that it has printed since the last call."""
        lines = []
        while self._printed:
            lines.append(self._printed.popleft())
        return lines

    def _read_reports(self) -> None:
        try:
            while (report := read_frame(self._child.output, report_decoder)) is not None:
                self._reports.put(report)
        except ValueError as error:  # msgspec's errors are ValueErrors too
            log.error("trainer.spoke_nonsense", pid=self.pid, reason=str(error)[:200])
            self._child.kill()
        self._child.hear_out(LAST_WORDS_SECONDS)
        self._reports.put(None)

    def _note_line(self, line: str) -> None:
        self._printed.append(line)
        log.info("trainer.printed", trainer=self._name, line=line)

    def send(self, command: Command) -> None:
        """Give the trainer a command. Raises TrainerGone."""
        try:
            write_frame(self._child.input, command)
        except OSError:
            raise TrainerGone(self._child.wait()) from None

    def receive(self, timeout_seconds: float) -> Report | None:
        """The next report, or None when there is none within the time. Raises TrainerGone after the last one."""
        try:
            report = self._reports.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        if report is None:
            self._reports.put(None)  # whoever asks again gets the same answer
            raise TrainerGone(self._child.wait())
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
        with suppress(OSError):  # it is gone already
            self._child.input.close()
        with suppress(TimeoutExpired):
            self._child.wait(STOP_SECONDS)
        self._child.kill()
        self._reader.join(STOP_SECONDS)
        self._child.close()
        self._folders.close()

    def kill(self, exceeded_memory_bytes: int | None = None) -> None:
        """End the process at once, with all that it has started."""
        self.exceeded_memory_bytes = self.exceeded_memory_bytes or exceeded_memory_bytes
        self._child.kill()


class TrainerStarter:
    """Starts all trainers from one thread that lives as long as the worker.

    A trainer asks the kernel to be killed with its parent, and that means the *thread* which started it.
    """

    def __init__(self, module: str, threads: int, scratch: Scratch, cache: Path) -> None:
        """``cache``: a folder that all of them may write to, which is made where it is missing."""
        self._module = module
        self._threads = threads
        self._scratch = scratch
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trainer-starter")

    def start(self, name: str) -> Trainer:
        """A new trainer, which is not ready yet; ``name`` stands in the log beside what it prints."""
        return self._executor.submit(Trainer, name, self._module, self._threads, self._scratch, self._cache).result()

    def close(self) -> None:
        """Let the thread end, after all trainers have."""
        self._executor.shutdown()


def _environment(threads: int) -> dict[str, str]:
    return inherited_environment() | {"FITSERVE_TRAINER_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
