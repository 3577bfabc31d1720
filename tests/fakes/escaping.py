"""What a hostile upload could try once it ran code of its own in the process that reads it; tells how each attempt ended."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

ATTEMPTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "internet": lambda request: socket.create_connection(("127.0.0.1", request["port"])).close(),
    "internet, version 6": lambda _: socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close(),
    "datagrams": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "local socket": lambda _: socket.socket(socket.AF_UNIX).close(),
    "program": lambda _: subprocess.run(["true"], check=True),
    "fork": lambda _: fork_and_sleep(),
    "leaving the group": lambda _: os.setpgid(0, 0),
    "parent's environment": lambda _: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "parent's memory": lambda _: open(f"/proc/{os.getppid()}/mem", "rb").close(),
    "signal to the parent": lambda _: os.kill(os.getppid(), signal.SIGCONT),
}


def fork_and_sleep() -> None:
    """Leave somebody behind."""
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)


def ending_of(attempt: Callable[[dict[str, Any]], Any], request: dict[str, Any]) -> str:
    try:
        attempt(request)
    except OSError as error:
        return type(error).__name__
    return "done"


if __name__ == "__main__":
    given = orjson.loads(sys.stdin.buffer.read())
    found = {name: ending_of(attempt, given) for name, attempt in ATTEMPTS.items() if name in given["attempts"]}
    answer = {"endings": found, "environment": dict(os.environ), "temporary_folder": tempfile.gettempdir(), "pid": os.getpid()}
    sys.stdout.buffer.write(orjson.dumps(answer))
