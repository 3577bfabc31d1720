"""Runs a module of ours in a child process with limits on time and memory, and speaks JSON with it.

Whatever a hostile input does to the child, this process only sees an answer or a ``SandboxFailed``.
"""

import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

INHERITED_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV")
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class SandboxFailed(Exception):
    """The child ran out of its time or memory, or crashed; ``reason`` says which in plain words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What a child may use."""

    seconds: float
    memory_bytes: int


def run_sandboxed(module: str, request: dict[str, Any], folder: Path, limits: Limits) -> dict[str, Any]:
    """Run ``python -m module`` in ``folder``, with ``request`` on its standard input; its standard output is the answer.

    Raises SandboxFailed when there is no answer within the limits.
    """
    environment = {name: os.environ[name] for name in INHERITED_ENVIRONMENT if name in os.environ}
    process = subprocess.Popen(  # noqa: S603  # the module's name is ours
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment | {"TMPDIR": str(folder), "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
    )
    _limit(process.pid, limits)
    try:
        output, errors = process.communicate(orjson.dumps(request), timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise SandboxFailed(f"it took longer than {limits.seconds:g} seconds") from None
    return _read_answer(process.returncode, output, errors)


def _limit(pid: int, limits: Limits) -> None:
    if not hasattr(resource, "prlimit"):  # Linux only; elsewhere the time limit alone holds
        return
    resource.prlimit(pid, resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _read_answer(returncode: int, output: bytes, errors: bytes) -> dict[str, Any]:
    if returncode != 0 or len(output) > MAX_ANSWER_BYTES:
        if b"MemoryError" in errors or b"out of memory" in errors or returncode == -signal.SIGABRT:
            raise SandboxFailed("it needs more memory than is allowed")
        raise SandboxFailed("reading it failed")
    answer: dict[str, Any] = orjson.loads(output)
    return answer
