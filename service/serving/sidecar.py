"""Keras as the API sees it: a process that is started when a model first needs it, and again when it has died.

Whatever happens to that process, a request ends with an answer or an error. Knows no HTTP and no database.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from service.errors import Unavailable
from service.infra.installed import has_keras
from service.infra.keeper import Keeper, KeeperClosed
from service.infra.logging import get_logger
from service.infra.scratch import Scratch
from service.serving.sidecar_process import START_SECONDS, SidecarLost, SidecarProcess
from service.spec.sidecar_frames import Array, LoadModel, Predict, Refused, Request, UnloadModel, heads_of

log = get_logger(__name__)

Result = TypeVar("Result")

MODULE = "service.training.sidecar"
LOAD_SECONDS = 120.0
"""Longest time that loading or unloading a model may take."""
LOST_RETRY_SECONDS = 1
MAX_PAUSE_SECONDS = 60


class KerasRefused(Exception):
    """Keras could not do what was asked; the message is its own."""


class Sidecar:
    """Loads models in one child process and asks them, one request at a time; safe to use from several threads."""

    def __init__(
        self,
        seconds: float,
        scratch: Scratch,
        threads: int = 0,
        module: str = MODULE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``seconds`` is the longest time for one answer, ``threads`` TensorFlow's number (0: its own choice)."""
        self.is_installed = has_keras()
        """Whether this machine can run Keras at all."""
        self._seconds = seconds
        self._scratch = scratch
        self._arguments = ["-m", module, str(threads)]
        self._clock = clock
        # The child asks the kernel to be killed with the thread that started it, so one thread starts them all.
        self._keeper = Keeper("sidecar")
        self._handles = itertools.count()
        self._files: dict[int, Callable[[], Path]] = {}
        """How the files of the models in use are found, by their handles."""
        self._process: SidecarProcess | None = None
        self._losses = 0
        """Processes lost since a model answered last."""
        self._may_start_at = -math.inf
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the child, if there is one."""
        process = self._process
        return process.pid if process is not None else None

    def load(self, find: Callable[[], Path]) -> int:
        """Load the model of the file that ``find`` gives, now and after every crash; its handle.

        Raises KerasRefused, Unavailable, or what ``find`` raises.
        """
        handle = next(self._handles)
        self._run(lambda: self._load(handle, find))
        return handle

    def predict(self, handle: int, tensors: Sequence[Array]) -> list[Array]:
        """One array ``(rows, …)`` per output, for one per input. Raises KerasRefused or Unavailable."""
        return self._run(lambda: self._predict(handle, tensors))

    def unload(self, handle: int) -> None:
        """Free the memory of a model soon; never waits."""
        self._keeper.post(lambda: self._unload(handle))

    def close(self) -> None:
        """End the process; what is being asked at this moment fails."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        self._keeper.close()
        self._end_process()

    def _run(self, work: Callable[[], Result]) -> Result:
        """What ``work()`` returns or raises in the keeper's thread; whoever waits for that watches the deadlines."""
        try:
            future = self._keeper.submit(work)
        except KeeperClosed:
            raise _stopping() from None
        while not future.done():
            with suppress(TimeoutError):
                return future.result(self._seconds_to_watch())
        return future.result()

    def _seconds_to_watch(self) -> float:
        """How long no deadline can pass; a process over its deadline is ended."""
        process = self._process
        shortest = min(self._seconds, LOAD_SECONDS, START_SECONDS)
        return shortest if process is None else min(shortest, process.end_if_late())

    def _load(self, handle: int, find: Callable[[], Path]) -> None:
        self._files[handle] = find
        try:
            self._process_with(handle)
        except BaseException:
            del self._files[handle]
            raise

    def _predict(self, handle: int, tensors: Sequence[Array]) -> list[Array]:
        process = self._process_with(handle)
        outputs = self._ask(process, Predict(handle=handle, tensors=heads_of(tensors)), self._seconds, tensors)
        self._losses = 0
        return outputs

    def _unload(self, handle: int) -> None:
        self._files.pop(handle, None)
        process = self._process
        if not self._files:
            self._end_process()  # it weighs more than the whole API
        elif process is not None and handle in process.handles:
            process.handles.remove(handle)
            with suppress(Unavailable, KerasRefused):  # nobody waits for it
                self._ask(process, UnloadModel(handle=handle), LOAD_SECONDS)

    def _process_with(self, handle: int) -> SidecarProcess:
        """The process, which has loaded this model."""
        process = self._ready_process()
        if handle not in process.handles:
            self._ask(process, LoadModel(handle=handle, path=str(self._files[handle]())), LOAD_SECONDS)
            process.handles.add(handle)
        return process

    def _ask(self, process: SidecarProcess, request: Request, seconds: float, tensors: Sequence[Array] = ()) -> list[Array]:
        with self._noticing_its_end(process):
            answer, outputs = process.ask(request, seconds, tensors)
        if isinstance(answer, Refused):
            raise Unavailable("Keras had not enough memory.") if answer.is_out_of_memory else KerasRefused(answer.message)
        return outputs

    def _ready_process(self) -> SidecarProcess:
        if self._process is not None and not self._process.is_alive():
            self._lose(self._process)
        return self._process or self._start()

    def _start(self) -> SidecarProcess:
        self._keep_pause()
        process = self._process = SidecarProcess(self._arguments, self._scratch)
        log.info("sidecar.started", pid=process.pid)
        if self._is_closed:  # in this very moment
            process.kill()
        with self._noticing_its_end(process):
            process.await_ready()
        return process

    def _keep_pause(self) -> None:
        pause = math.ceil(self._may_start_at - self._clock()) if self._losses else 0
        if self._is_closed:
            raise _stopping()
        if pause > 0:
            raise Unavailable(f"The process that runs Keras has died {self._losses} times in a row.", pause)

    @contextmanager
    def _noticing_its_end(self, process: SidecarProcess) -> Iterator[None]:
        try:
            yield
        except SidecarLost as error:
            self._lose(process)
            raise _stopping() if self._is_closed else Unavailable(str(error), LOST_RETRY_SECONDS) from None

    def _lose(self, process: SidecarProcess) -> None:
        """From the second one that is lost in a row on, the next is not started at once."""
        self._losses += 1
        pause = min(MAX_PAUSE_SECONDS, 2 ** (self._losses - 2)) if self._losses > 1 else 0
        self._may_start_at = self._clock() + pause
        self._end_process()
        log.warning("sidecar.lost", pid=process.pid, losses=self._losses, printed=process.last_lines)

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


def _stopping() -> Unavailable:
    return Unavailable("This process is about to end.", LOST_RETRY_SECONDS)
