"""What a child process gives up for good before it looks at what it was sent: network, other processes, writing elsewhere.

The kernel holds it to that (seccomp and Landlock, on Linux); a platform without them confines nothing, which ``missing`` tells.
"""

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from service.infra.system_calls import CLONE3, MACHINES, Machine

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
PR_SET_NO_NEW_PRIVS = 38
# The same on every machine (landlock(7)).
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
WRITE_FILE, MAKE_DEVICES, TRUNCATE = 1 << 1, 1 << 6 | 1 << 11, 1 << 14
CHANGE_FOLDER = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13
"""Remove folders and files; make folders, files, sockets, pipes and links; move to another folder."""
LANDLOCK_SCOPE_SIGNAL = 1 << 1
LANDLOCK_VERSION_WITH_REFER, LANDLOCK_VERSION_WITH_TRUNCATE, LANDLOCK_VERSION_WITH_SCOPES = 2, 3, 6
LINUX_CAPABILITY_VERSION_3 = 0x20080522
KEPT_CAPABILITIES = 1 << 1 | 1 << 2
"""Those of root that are about files of other users: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH (capabilities(7))."""

DEVICES = ("/dev/null",)
GPU_FILES = ("/dev/nvidia*", "/dev/dri", "/dev/kfd", "/dev/dxg", "/proc/self/task")
"""Devices of GPUs, and where their drivers write the names of the threads that they start."""

AF_UNIX = 1
CLONE_THREAD = 0x10000
CLONE_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID and …NET."""
ALL_BITS = 0xFFFFFFFF

# Classic BPF (seccomp(2), linux/filter.h): load a word of seccomp_data, mask it, compare, answer.
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
NUMBER, MACHINE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
X32_CALLS = 0x40000000
"""Numbers from here on are those of a second table of x86-64, by which a filter could be passed."""


Instruction = tuple[int, int, int, int]


def confine(writable: Iterable[str | Path], may_use_gpu: bool = False) -> None:
    """Give up the network, every other process and all writing elsewhere, for all threads that this one will start.

    So call it first. ``writable``: folders in which, and below which, files may still be written; those that are not there count
    for nothing. ``may_use_gpu``: drivers of GPUs have devices, speak with their services over local sockets and start compilers,
    which stay allowed then.

    Raises OSError where the kernel could confine, and does not.
    """
    machine = _machine()
    if machine is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities(libc)
    _enter_domain(libc, [*writable, *DEVICES, *(_files_of_gpus() if may_use_gpu else ())])
    _refuse_calls(libc, _filter(machine, may_use_gpu))


def missing() -> str | None:
    """Why children are not confined on this machine, or not wholly; None where they are."""
    if sys.platform != "linux":
        return f"{platform.system()} has no seccomp"
    if platform.machine() not in MACHINES:
        return f"no filter of system calls is written for {platform.machine()}"
    if _machine() is None:
        return "this kernel, or what this process runs in, takes no filters of system calls"
    if _landlock_version(ctypes.CDLL(None)) < LANDLOCK_VERSION_WITH_REFER:
        return "this kernel has no Landlock, so children may touch what their user may; system calls are filtered all the same"
    return None


def _landlock_version(libc: ctypes.CDLL) -> int:
    """Of the kernel; negative without Landlock."""
    return int(libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), LANDLOCK_CREATE_RULESET_VERSION))


def _machine() -> Machine | None:
    """The numbers of this machine, where its kernel takes filters: it then says EFAULT of one that is at no address."""
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None or sys.maxsize < 2**32:
        return None
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None, 0, 0)
    return machine if ctypes.get_errno() == errno.EFAULT else None


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Where this is root, give up what root may do beyond files: it could read other processes all the same."""
    header, sets = struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    _check(libc.capget(header, sets))
    permitted = struct.unpack("=6I", sets.raw)[1] & KEPT_CAPABILITIES
    _check(libc.capset(header, struct.pack("=6I", permitted, permitted, 0, 0, 0, 0)))


def _enter_domain(libc: ctypes.CDLL, writable: Iterable[str | Path]) -> None:
    """Enter a Landlock domain; without Landlock nothing.

    From there no process outside can be read, traced or signalled, and no file be written but in and below ``writable``.
    """
    version = _landlock_version(libc)
    if version < LANDLOCK_VERSION_WITH_REFER:
        return
    to_file = WRITE_FILE | (TRUNCATE if version >= LANDLOCK_VERSION_WITH_TRUNCATE else 0)
    scopes = (0, LANDLOCK_SCOPE_SIGNAL) if version >= LANDLOCK_VERSION_WITH_SCOPES else ()
    attributes = struct.pack(f"={1 + len(scopes)}Q", to_file | CHANGE_FOLDER | MAKE_DEVICES, *scopes)
    ruleset = _check(libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    for path in writable:
        _allow_writing(libc, ruleset, path, to_file)
    _check(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _allow_writing(libc: ctypes.CDLL, ruleset: int, path: str | Path, to_file: int) -> None:
    """Add a rule. What it is for stays open: the kernel may forget a folder of /proc that nobody holds, and the rule with it."""
    try:
        opened = os.open(path, os.O_PATH)
    except FileNotFoundError:
        return
    rights = to_file | CHANGE_FOLDER if stat.S_ISDIR(os.fstat(opened).st_mode) else to_file
    rule = struct.pack("=Qi", rights, opened)
    _check(libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0))


def _files_of_gpus() -> list[str]:
    """What drivers write to; NVIDIA's keeps compiled kernels in a folder from process to process (CUDA_CACHE_PATH)."""
    kernels = os.environ.get("CUDA_CACHE_PATH") or os.path.expanduser("~/.nv/ComputeCache")
    return [kernels, *(path for pattern in GPU_FILES for path in glob(pattern))]


def _refuse_calls(libc: ctypes.CDLL, instructions: list[Instruction]) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    program = Program(len(instructions), packed)
    _check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def _filter(machine: Machine, may_use_gpu: bool) -> list[Instruction]:
    """The program that looks at each system call of this process and answers whether it is allowed."""
    own = [step for number in machine.of_a_process for step in _only_where(number, ALL_BITS, 0)]
    always = [*_native(machine), *_refusals(machine.refused, errno.EPERM), *_refusals([CLONE3], errno.ENOSYS), *own]
    if may_use_gpu:
        threads = _only_where(machine.clone, CLONE_NEW_NAMESPACES, 0)
        sockets = _only_where(machine.socket, ALL_BITS, AF_UNIX)
    else:
        threads = _only_where(machine.clone, CLONE_NEW_NAMESPACES | CLONE_THREAD, CLONE_THREAD)
        sockets = _refusals([machine.socket, *machine.forks], errno.EPERM)
    return [*always, *threads, *sockets, (RETURN, 0, 0, ALLOW)]


def _native(machine: Machine) -> list[Instruction]:
    """Refuse calls by another table than this machine's own; then the number of the call is at hand."""
    return [
        (LOAD, 0, 0, MACHINE),
        (EQUAL, 1, 0, machine.audit_number),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32_CALLS),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
    ]


def _refusals(numbers: Iterable[int], reason: int) -> list[Instruction]:
    return [step for number in numbers for step in ((EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | reason))]


def _only_where(number: int, mask: int, value: int) -> list[Instruction]:
    """Refuse one call, unless these bits of its first argument (a word of 32) are as said."""
    return [
        (EQUAL, 0, 5, number),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (AND, 0, 0, mask),
        (EQUAL, 1, 0, value),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "This process cannot be confined")
    return result
