"""How much memory a process uses, and whether the kernel has killed one for it. Linux only; elsewhere nothing is known."""

import os
import re
from pathlib import Path

ANONYMOUS = re.compile(rb"^Rss(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)
OOM_KILLS = re.compile(r"^oom_kill (\d+)", re.MULTILINE)
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
