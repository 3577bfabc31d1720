"""How much memory a process uses and keeps, and whether the kernel has killed one for it; elsewhere than on Linux, nothing."""

import ctypes
import os
import re
from pathlib import Path

ANONYMOUS = re.compile(rb"^Rss(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)
OOM_KILLS = re.compile(r"^oom_kill (\d+)", re.MULTILINE)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Source: glibc's malloc.h."""
KEPT_BYTES = 16 * 1024**2
MAPPED_FROM_BYTES = 8 * 1024**2
ARENAS = 2
CGROUP_FILES = ("memory.events", "memory.oom_control")


def resident_bytes(pid: int) -> int:
    """Memory of a process without mapped files, which the kernel can take back at any time; 0 when it is not known.

    Source: proc_pid_status(5), RssAnon and RssShmem.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0
    return sum(int(kilobytes) for kilobytes in ANONYMOUS.findall(status)) * 1024


def give_memory_back() -> None:
    """Have the allocator return what large requests took. To be called before there are threads.

    glibc raises its thresholds by itself to what was freed last (up to 32 and 64 MB), and has eight heaps for each core, so
    a process that once had large bodies in many threads keeps most of their memory. Where the C library is another, nothing
    changes. Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def oom_kills(root: Path = Path("/")) -> int:
    """Processes that the kernel has killed for want of memory so far: in this control group, or on the whole machine.

    Source: the kernel's cgroup-v2.rst (``memory.events``), cgroup-v1/memory.rst (``memory.oom_control``), proc_vmstat(5).
    """
    for path in [*_cgroup_files(root), root / "proc/vmstat"]:
        try:
            found = OOM_KILLS.search(path.read_text())
        except OSError:
            continue
        if found:
            return int(found[1])
    return 0


def _cgroup_files(root: Path) -> list[Path]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    groups = {controllers: group.lstrip("/") for _, controllers, group in (line.split(":", 2) for line in lines)}
    below = root / "sys/fs/cgroup"
    # Inside a container the group's own folder is mounted at the top, whatever its path is outside.
    folders = [below / groups.get("", "."), below, below / "memory" / groups.get("memory", "."), below / "memory"]
    return [Path(os.path.normpath(folder)) / name for folder in folders for name in CGROUP_FILES]
