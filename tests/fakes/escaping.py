"""What a hostile upload could try once it ran code of its own in the process that reads it; tells how each attempt ended.

With the argument ``trainer`` it first confines itself as a trainer does.
"""

import ctypes
import errno
import os
import platform
import resource
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

from service.infra.confinement import confine

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
IPC_CREAT = 0o1000
CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine(), 0)
CLONE3, IO_URING_SETUP = 435, 425
NEW_USER_BY_CLONE3 = (ctypes.c_uint64 * 8)(CLONE_NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
SERVICE = Path(__file__).parents[2] / "service"

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
    "limit of the parent": lambda _: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0)),
    "processors of the parent": lambda _: os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0)),
    "priority of the parent": lambda _: os.setpriority(os.PRIO_PROCESS, os.getppid(), 0),
    "scheduling of the parent": lambda _: os.sched_setscheduler(os.getppid(), os.SCHED_BATCH, os.sched_param(0)),
    "user namespace": lambda _: called(LIBC.unshare(CLONE_NEWUSER)),
    "user namespace of a new process": lambda _: end_the_new(
        called(LIBC.syscall(CLONE, CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0))
    ),
    "user namespace by clone3": lambda _: end_the_new(called(LIBC.syscall(CLONE3, NEW_USER_BY_CLONE3, ctypes.c_size_t(64)))),
    "network namespace": lambda _: called(LIBC.unshare(CLONE_NEWNET)),
    "namespace of the parent": lambda _: enter(f"/proc/{os.getpid()}/ns/uts"),
    "mount": lambda _: called(LIBC.mount(b"none", tempfile.gettempdir().encode(), b"tmpfs", 0, None)),
    "other root": lambda _: os.chroot("/"),
    "io_uring": lambda _: called(LIBC.syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120))),
    "shared memory": lambda _: called(LIBC.shmget(0x5EED, ctypes.c_size_t(1), IPC_CREAT)),
    "semaphores": lambda _: called(LIBC.semget(0x5EED, 1, IPC_CREAT)),
    "messages": lambda _: called(LIBC.msgget(0x5EED, IPC_CREAT)),
    "kernel's log": lambda _: called(LIBC.klogctl(10, None, 0)),
    "changing a file": lambda request: open(Path(request["elsewhere"], "file"), "r+b").close(),
    "emptying a file": lambda request: os.truncate(Path(request["elsewhere"], "file"), 0),
    "making a file": lambda request: Path(request["elsewhere"], "new").touch(),
    "making a folder": lambda request: Path(request["elsewhere"], "new").mkdir(),
    "making a link": lambda request: Path(request["elsewhere"], "new").symlink_to("file"),
    "removing a file": lambda request: Path(request["elsewhere"], "file").unlink(),
    "moving a file": lambda request: Path(request["elsewhere"], "file").rename(Path(tempfile.gettempdir(), "mine")),
    "linking to a file": lambda request: Path(tempfile.gettempdir(), "mine").hardlink_to(Path(request["elsewhere"], "file")),
    "mode of a file": lambda request: Path(request["elsewhere"], "file").chmod(0o666),
    "owner of a file": lambda request: os.chown(Path(request["elsewhere"], "file"), os.getuid(), os.getgid()),
    "attributes of a file": lambda request: os.setxattr(Path(request["elsewhere"], "file"), "user.mine", b"1"),
    "making a module": lambda _: (SERVICE / "escaped.py").touch(),
}
REFUSED = frozenset({"EPERM", "EACCES", "EXDEV", "ENOSYS"})
"""Endings of attempts that the kernel has refused; ENOSYS sends callers of clone3 to clone, EXDEV those of link to a copy."""
OF_A_TRAINER = ATTEMPTS.keys() - {"local socket", "program", "fork"}
"""Those that are refused to a trainer too, whose drivers of GPUs may do the others."""


def fork_and_sleep() -> None:
    """Leave somebody behind."""
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)


def called(result: int) -> int:
    """The result of a function of C. Raises OSError where it is none."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def end_the_new(pid: int) -> None:
    """End the process that was made by a system call, in which this is called too."""
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def enter(namespace: str) -> None:
    with open(namespace, "rb") as opened:
        called(LIBC.setns(opened.fileno(), 0))


def ending_of(attempt: Callable[[dict[str, Any]], Any], request: dict[str, Any]) -> str:
    try:
        attempt(request)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


if __name__ == "__main__":
    if sys.argv[1:] == ["trainer"]:
        confine([tempfile.gettempdir()], may_use_gpu=True)
    given = orjson.loads(sys.stdin.buffer.read())
    found = {name: ending_of(attempt, given) for name, attempt in ATTEMPTS.items() if name in given["attempts"]}
    answer = {"endings": found, "environment": dict(os.environ), "temporary_folder": tempfile.gettempdir(), "pid": os.getpid()}
    sys.stdout.buffer.write(orjson.dumps(answer))
