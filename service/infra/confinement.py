"""What a child process gives up for good before it looks at what it was sent: network, other processes, leaving its group.

The kernel holds it to that (seccomp and Landlock, on Linux); a platform without them confines nothing, which ``missing`` tells.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import NamedTuple

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
PR_SET_NO_NEW_PRIVS = 38
# The same on every machine (landlock(7)).
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
LANDLOCK_ACCESS_FS_REFER = 1 << 13
LANDLOCK_SCOPE_SIGNAL = 1 << 1
LANDLOCK_VERSION_WITH_REFER, LANDLOCK_VERSION_WITH_SCOPES = 2, 6
LINUX_CAPABILITY_VERSION_3 = 0x20080522
KEPT_CAPABILITIES = 1 << 1 | 1 << 2
"""Those of root that are about files of other users: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH (capabilities(7))."""

AF_UNIX = 1
CLONE_THREAD = 0x10000

# Classic BPF (seccomp(2), linux/filter.h): load a word of seccomp_data, compare, answer.
LOAD, EQUAL, AT_LEAST, HAS_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, MACHINE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
X32_CALLS = 0x40000000
"""Numbers from here on are those of a second table of x86-64, by which a filter could be passed."""


class Machine(NamedTuple):
    """Numbers of system calls (linux/audit.h, asm/unistd.h); -1 where there is no such call."""

    audit_number: int
    socket: int
    clone: int
    forks: tuple[int, ...]
    others: tuple[int, ...]
    """setsid, setpgid, ptrace, process_vm_readv, process_vm_writev: ways out of the group and into other processes."""


MACHINES = {
    "x86_64": Machine(0xC000003E, socket=41, clone=56, forks=(57, 58), others=(112, 109, 101, 310, 311)),
    "aarch64": Machine(0xC00000B7, socket=198, clone=220, forks=(), others=(157, 154, 117, 270, 271)),
}
IO_URING_SETUP, CLONE3, PIDFD_GETFD = 425, 435, 438
"""The same on every machine. io_uring opens sockets by itself, and the arguments of clone3 are out of a filter's sight."""

Instruction = tuple[int, int, int, int]


def confine(may_use_gpu: bool = False) -> None:
    """Give up the network and every other process, for all threads that this one will start; so call it first.

    ``may_use_gpu``: drivers of GPUs speak with their services over local sockets and start compilers, which stay allowed then.
    Raises OSError where the kernel could confine, and does not.
    """
    machine = _machine()
    if machine is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities(libc)
    _keep_out_of_other_processes(libc)
    _refuse_calls(libc, _filter(machine, may_use_gpu))


def missing() -> str | None:
    """Why children are not confined on this machine; None where they are."""
    if sys.platform != "linux":
        return f"{platform.system()} has no seccomp"
    if platform.machine() not in MACHINES:
        return f"no filter of system calls is written for {platform.machine()}"
    return None if _machine() else "this kernel, or what this process runs in, takes no filters of system calls"


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


def _keep_out_of_other_processes(libc: ctypes.CDLL) -> None:
    """Enter a Landlock domain, from which no process outside can be read, traced or signalled; without Landlock nothing.

    A domain takes the right away to move files to other folders, so that right is given back for all folders.
    """
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), LANDLOCK_CREATE_RULESET_VERSION)
    if version < LANDLOCK_VERSION_WITH_REFER:
        return
    scopes = (0, LANDLOCK_SCOPE_SIGNAL) if version >= LANDLOCK_VERSION_WITH_SCOPES else ()
    attributes = struct.pack(f"={1 + len(scopes)}Q", LANDLOCK_ACCESS_FS_REFER, *scopes)
    ruleset = _check(libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    root = os.open("/", os.O_PATH)
    rule = struct.pack("=Qi", LANDLOCK_ACCESS_FS_REFER, root)
    _check(libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0))
    _check(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(root)
    os.close(ruleset)


def _refuse_calls(libc: ctypes.CDLL, instructions: list[Instruction]) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    program = Program(len(instructions), packed)
    _check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def _filter(machine: Machine, may_use_gpu: bool) -> list[Instruction]:
    """The program that looks at each system call of this process and answers whether it is allowed."""
    refused = [*machine.others, IO_URING_SETUP, PIDFD_GETFD]
    if may_use_gpu:
        socket = _unless_first_argument(machine.socket, EQUAL, AF_UNIX)
        return [*_native(machine), *_refusals(refused, errno.EPERM), *socket, (RETURN, 0, 0, ALLOW)]
    processes = [*_refusals([CLONE3], errno.ENOSYS), *_unless_first_argument(machine.clone, HAS_BITS, CLONE_THREAD)]
    refused += [machine.socket, *machine.forks]
    return [*_native(machine), *_refusals(refused, errno.EPERM), *processes, (RETURN, 0, 0, ALLOW)]


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


def _refusals(numbers: list[int], reason: int) -> list[Instruction]:
    return [step for number in numbers for step in ((EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | reason))]


def _unless_first_argument(number: int, comparison: int, value: int) -> list[Instruction]:
    """Refuse one call, unless its first argument compares as said; the last one of the questions about numbers."""
    return [
        (EQUAL, 0, 3, number),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (comparison, 1, 0, value),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
    ]


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "This process cannot be confined")
    return result
