"""The process that builds models on trial, as the API sees it: started when first needed, limited, replaced when worn out.

Whatever a definition does to that process, a check ends with an answer or a ``NotChecked``.
"""

import select
import tempfile
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from signal import SIGABRT
from typing import Literal

from service.errors import TooManyRequests
from service.infra.child import Child, inherited_environment
from service.infra.installed import has_keras
from service.infra.logging import get_logger
from service.infra.memory import resident_bytes
from service.infra.scratch import Scratch
from service.spec.check_frames import OUT_OF_MEMORY, Checked, CheckerReady, CheckJob, check_report_decoder
from service.spec.frames import read_frame, write_frame

log = get_logger(__name__)

MODULE = "service.training.checking"
QUIET = {"CUDA_VISIBLE_DEVICES": "-1", "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
START_SECONDS = 120.0
IDLE_SECONDS = 600
"""Time without a check after which the process ends, since it weighs more than the whole API."""
MAX_CHECKS = 1000
"""Checks after which the process is replaced: Keras never forgets quite everything."""
MAX_WAITING = 8
"""Checks that may wait for the process at once; each of them holds a thread of the API."""

Cause = Literal["absent", "loading", "too_slow", "too_large", "crashed"]
CAUSES: dict[int, Cause] = {OUT_OF_MEMORY: "too_large", -SIGABRT: "too_large", 0: "loading"}
"""What the exit code of a process that gave no answer means; 0 is that of one that had nothing to do, and had just left."""


class NotChecked(Exception):
    """Keras has not seen the model; ``cause`` says why."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause: Cause = cause


class Checker:
    """Builds models in one child process, one after the other."""

    def __init__(self, seconds: float, memory_bytes: int, scratch: Scratch) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._scratch = scratch
        # The child asks the kernel to be killed with the thread that started it, so one thread starts them all.
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checker")
        self._process: _Process | None = None
        self._successor: _Process | None = None
        """What takes the place of a worn-out process as soon as it is ready; until then the old one answers."""
        self._is_closed = False
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)

    def check(self, job: CheckJob) -> Checked:
        """What Keras makes of a model. Raises NotChecked, or TooManyRequests when others wait already."""
        if not has_keras():
            raise NotChecked("absent")
        if not self._waiting.acquire(blocking=False):
            raise TooManyRequests(f"{MAX_WAITING} checks are waiting already. Try again in a moment.")
        try:
            future = self._keeper.submit(self._ask, job)
            try:
                return future.result(2 * self._seconds)
            except (FutureTimeoutError, CancelledError):
                future.cancel()
                raise NotChecked("loading") from None
        finally:
            self._waiting.release()

    def close(self) -> None:
        """End the process."""
        self._is_closed = True
        for process in (self._process, self._successor):
            if process is not None:
                process.kill()
        self._keeper.shutdown(cancel_futures=True)

    def _ask(self, job: CheckJob) -> Checked:
        process = self._ready_process()
        try:
            checked = process.ask(job, self._seconds)
        except NotChecked as error:
            self._end_process()
            if error.cause == "loading":
                return self._ask(job)  # it had left for want of work in that very moment
            log.warning("checker.lost", pid=process.pid, cause=error.cause)
            raise
        is_worn_out = process.checks >= MAX_CHECKS or process.grown_bytes() > self._memory_bytes // 2
        if is_worn_out and self._successor is None:
            log.info("checker.worn_out", pid=process.pid, checks=process.checks)
            self._successor = self._start()
        return checked

    def _ready_process(self) -> "_Process":
        """The process to ask: the present one until its successor is ready. Raises NotChecked where none can be started."""
        present, successor = self._process, self._successor
        if present is not None and present.is_alive() and (successor is None or not successor.has_spoken()):
            return present
        self._end_process()
        self._process, self._successor = successor or self._start(), None
        try:
            self._await_ready(self._process)
        except NotChecked:
            log.warning("checker.did_not_start", pid=self._process.pid)
            self._end_process()
            raise
        return self._process

    def _await_ready(self, process: "_Process") -> None:
        if self._is_closed:  # while it was being started
            raise NotChecked("loading")
        process.await_ready()

    def _start(self) -> "_Process":
        process = _Process(self._memory_bytes, self._scratch)
        log.info("checker.started", pid=process.pid)
        return process

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


class _Process:
    """One child; whoever speaks with it is alone."""

    def __init__(self, memory_bytes: int, scratch: Scratch) -> None:
        arguments = ["-P", "-m", MODULE, str(memory_bytes), str(IDLE_SECONDS)]
        self._child = Child("checker", arguments, inherited_environment() | QUIET, scratch, folder=tempfile.gettempdir())
        self._resident_bytes = 0
        self.checks = 0
        """How many it has done."""

    @property
    def pid(self) -> int:
        return self._child.pid

    def is_alive(self) -> bool:
        return self._child.is_alive()

    def has_spoken(self) -> bool:
        """Whether something can be read of a process that nothing was read of yet, if only its end."""
        return bool(select.select([self._child.output], [], [], 0)[0])

    def grown_bytes(self) -> int:
        """Memory that it uses more than at its start; 0 where that is not known."""
        return max(0, resident_bytes(self.pid) - self._resident_bytes)

    def await_ready(self) -> None:
        """Wait until Keras is loaded. Raises NotChecked."""
        try:
            with self._child.deadline(START_SECONDS):
                answer = self._read()
        except (TimeoutError, ValueError):
            raise NotChecked("loading") from None
        if not isinstance(answer, CheckerReady):
            raise NotChecked("loading")
        self._resident_bytes = resident_bytes(self.pid)

    def ask(self, job: CheckJob, seconds: float) -> Checked:
        """What it makes of a model. Raises NotChecked, after which it cannot be used any more."""
        self.checks += 1
        try:
            with self._child.deadline(seconds):
                write_frame(self._child.input, job)
                answer = self._read()
        except TimeoutError:
            raise NotChecked("too_slow") from None
        except (OSError, ValueError):  # it is gone, or speaks nonsense
            raise NotChecked("crashed") from None
        if not isinstance(answer, Checked):
            raise NotChecked(CAUSES.get(self._child.wait(), "crashed"))
        return answer

    def kill(self) -> None:
        """End it at once."""
        self._child.close()

    def _read(self) -> CheckerReady | Checked | None:
        return read_frame(self._child.output, check_report_decoder)
