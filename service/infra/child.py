"""A child process of this program that is spoken to over its standard input and output. Knows nothing of what is said."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, cast

from service.infra.logging import get_logger
from service.infra.scratch import Scratch

log = get_logger(__name__)

MAX_LINE_BYTES = 8192
MAX_LAST_LINES = 20
INHERITED = re.compile(
    r"""
    PATH | HOME | TZ | TMPDIR | VIRTUAL_ENV | LD_LIBRARY_PATH | PYTHONPATH | PYTHONSAFEPATH
    | LANG | LC_(ALL | COLLATE | CTYPE | MESSAGES | MONETARY | NUMERIC | TIME)
    | CUDA_(CACHE_(DISABLE | MAXSIZE | PATH) | DEVICE_MAX_CONNECTIONS | DEVICE_ORDER | FORCE_PTX_JIT | HOME | LAUNCH_BLOCKING
        | MODULE_LOADING | MPS_PIPE_DIRECTORY | PATH | VISIBLE_DEVICES)
    | NVIDIA_(DRIVER_CAPABILITIES | TF32_OVERRIDE | VISIBLE_DEVICES)
    | TF_(CPP_(MAX_VLOG_LEVEL | MIN_LOG_LEVEL | VMODULE) | CUBLAS_WORKSPACE_LIMIT_IN_MB
        | CUDNN_(DETERMINISTIC | USE_AUTOTUNE | WORKSPACE_LIMIT_IN_MB) | DETERMINISTIC_OPS | DEVICE_MIN_SYS_MEMORY_IN_MB
        | DISABLE_JIT_KERNELS | ENABLE_ONEDNN_OPTS | FORCE_GPU_ALLOW_GROWTH | FORCE_UNIFIED_MEMORY
        | GPU_(ALLOCATOR | HOST_MEM_LIMIT_IN_MB | THREAD_COUNT | THREAD_MODE) | MIN_GPU_MULTIPROCESSOR_COUNT
        | NUM_(INTEROP | INTRAOP)_THREADS | ONEDNN_USE_SYSTEM_ALLOCATOR | PER_DEVICE_MEMORY_LIMIT_MB | SET_ONEDNN_FPMATH_MODE
        | USE_CUBLASLT | XLA_FLAGS)
    | XLA_FLAGS
    | OMP_(DYNAMIC | NUM_THREADS | PROC_BIND | THREAD_LIMIT | WAIT_POLICY)
    | OPENBLAS_(CORETYPE | NUM_THREADS) | MKL_NUM_THREADS
    """,
    re.VERBOSE,
)
"""What says where things are, in which language, and how numbers are computed; whatever else there is may be a secret.

Each is a name of its own: not all that begins with ``TF_`` is TensorFlow's, for Terraform keeps keys in ``TF_VAR_…``.
"""


class Child:
    """Python with ``arguments``, in a session of its own; what it prints to standard error goes into the log.

    Its temporary files go with it, or else with this process's ``scratch``. ``hear`` is told each line that it prints, in
    another thread, and logs it then.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        scratch: Scratch,
        folder: str | None = None,
        hear: Callable[[str], None] | None = None,
    ) -> None:
        self._name = name
        self._hear = hear or self._log_line
        self._folders = ExitStack()
        temporary = self._folders.enter_context(scratch.folder(name))
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and modules
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**environment, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
        self.input, self.output = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        self._errors = cast(BinaryIO, self._process.stderr)
        self._last_lines: deque[str] = deque(maxlen=MAX_LAST_LINES)
        self._listener = threading.Thread(target=self._listen, name=f"{name}-output", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def last_lines(self) -> list[str]:
        """What it printed last."""
        return list(self._last_lines)

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code after its end, negative for the signal that killed it. Raises TimeoutExpired after so long."""
        return self._process.wait(seconds)

    def hear_out(self, seconds: float) -> None:
        """Wait until it has printed its last line, but no longer than that."""
        self._listener.join(seconds)

    def kill(self) -> None:
        """End it at once with all that it has started, from whatever thread; one that reads what it says comes to the end."""
        kill_group(self._process)
        self._process.wait()

    def close(self) -> None:
        """End it at once, for the thread that speaks with it."""
        self.kill()
        self._listener.join()
        for stream in (self.input, self.output, self._errors):
            with suppress(OSError):  # what could not be written any more
                stream.close()
        self._folders.close()

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Kill the child after so long, which ends the reading. Raises TimeoutError in that case."""
        is_over = threading.Event()

        def end() -> None:
            is_over.set()
            kill_group(self._process)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if not is_over.is_set():
                raise
        finally:
            timer.cancel()
        if is_over.is_set():
            raise TimeoutError(f"{self._name} gave no answer within {seconds:g} seconds.")

    def _listen(self) -> None:
        while line := self._errors.readline(MAX_LINE_BYTES):
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            self._hear(text)

    def _log_line(self, line: str) -> None:
        log.debug(f"{self._name}.printed", pid=self.pid, line=line)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a child that leads a session of its own, and everything that it has started."""
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(process.pid, signal.SIGKILL)


def inherited_environment() -> dict[str, str]:
    """The part of this process's environment that a child needs; the addresses and passwords of the databases are not in it.

    Where to look for modules is said in whole paths, since a child may be started in a folder with what a client has sent.
    """
    inherited = {name: value for name, value in os.environ.items() if INHERITED.fullmatch(name)}
    if folders := inherited.get("PYTHONPATH"):
        inherited["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, folders.split(os.pathsep)))
    return inherited
