"""Runs a module of ours in a confined child process with limits on time and memory, and speaks JSON with it.

Whatever a hostile input does to the child, this process only sees an answer or a ``SandboxFailed``.
"""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from service.infra.child import inherited_environment, kill_group

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

    The folder is also where its temporary files go. It has no network, no other process, and none of our settings.

    Raises SandboxFailed when there is no answer within the limits.
    """
    process = subprocess.Popen(  # noqa: S603  # the module's name is ours
        [sys.executable, "-P", "-m", "service.infra.sandboxed", module, str(limits.memory_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=inherited_environment() | {"TMPDIR": str(folder), "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(orjson.dumps(request), timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        kill_group(process)
        process.communicate()
        raise SandboxFailed(f"it took longer than {limits.seconds:g} seconds") from None
    kill_group(process)  # what it may have started, and not waited for
    return _read_answer(process.returncode, output, errors)


def _read_answer(returncode: int, output: bytes, errors: bytes) -> dict[str, Any]:
    if returncode != 0 or len(output) > MAX_ANSWER_BYTES:
        if b"MemoryError" in errors or b"out of memory" in errors or returncode == -signal.SIGABRT:
            raise SandboxFailed("it needs more memory than is allowed")
        raise SandboxFailed("reading it failed")
    answer: dict[str, Any] = orjson.loads(output)
    return answer
