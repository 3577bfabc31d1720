"""Numbers of the system calls that a confined process is kept from. Knows nothing of how.

Source: ``asm/unistd_64.h`` and ``asm-generic/unistd.h`` of Linux.
"""

from typing import NamedTuple

ABSENT = -1
"""For a call that ARM64 does not have."""
CLONE3 = 435
"""The same on every machine; its arguments are out of a filter's sight."""


class Machine(NamedTuple):
    """Numbers of one architecture."""

    audit_number: int
    """What ``linux/audit.h`` calls the table of system calls."""
    socket: int
    clone: int
    of_a_process: tuple[int, ...]
    """prlimit64, sched_setaffinity, whose first argument is a process; 0 is the one that calls."""
    forks: tuple[int, ...]
    refused: tuple[int, ...]


REFUSED: dict[str, tuple[int, int]] = {
    # Out of the group, and into other processes.
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    # How other processes are scheduled.
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # Namespaces, in which all capabilities come back; what is mounted where.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # What Landlock leaves open of files: owner, mode, attributes.
    "chmod": (90, ABSENT),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, ABSENT),
    "fchown": (93, 55),
    "lchown": (94, ABSENT),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    # Memory, semaphores, messages and keys that the processes of a user share.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # Parts of the kernel that nobody here needs, and that have had holes.
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "syslog": (103, 116),
}
"""By name, on x86-64 and on ARM64."""

MACHINES = {
    "x86_64": Machine(
        0xC000003E,
        socket=41,
        clone=56,
        of_a_process=(302, 203),
        forks=(57, 58),
        refused=tuple(x86 for x86, _ in REFUSED.values()),
    ),
    "aarch64": Machine(
        0xC00000B7,
        socket=198,
        clone=220,
        of_a_process=(261, 122),
        forks=(),
        refused=tuple(arm for _, arm in REFUSED.values() if arm != ABSENT),
    ),
}
