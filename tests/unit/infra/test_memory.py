"""What the kernel tells about memory."""

import os
import sys
from pathlib import Path

import pytest

from service.infra.memory import oom_kills, resident_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it on Linux only")
def test_memory_that_is_used_is_counted_and_mapped_files_are_not(tmp_path: Path) -> None:
    before = resident_bytes(os.getpid())
    used = bytearray(os.urandom(1024)) * 50_000
    assert 40e6 < resident_bytes(os.getpid()) - before < 80e6
    assert len(used) > 0


def test_a_process_that_has_ended_uses_nothing() -> None:
    assert resident_bytes(2**22 + 1) == 0


def write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_kills_are_counted_in_the_control_group(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/docker/abc\n")
    write(tmp_path, "proc/vmstat", "nr_free_pages 1\noom_kill 9\n")
    assert oom_kills(tmp_path) == 9
    write(tmp_path, "sys/fs/cgroup/memory.events", "low 0\noom 3\noom_kill 2\n")
    assert oom_kills(tmp_path) == 2
    write(tmp_path, "sys/fs/cgroup/docker/abc/memory.events", "low 0\noom 3\noom_kill 1\n")
    assert oom_kills(tmp_path) == 1


def test_kills_are_counted_in_an_old_control_group(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "5:memory:/abc\n")
    write(tmp_path, "sys/fs/cgroup/memory/abc/memory.oom_control", "under_oom 0\noom_kill 4\n")
    assert oom_kills(tmp_path) == 4


def test_where_nothing_is_known_nothing_is_counted(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
