"""Memory that was freed goes back to the system."""

import platform
import subprocess
import sys

import pytest

FREE_LARGE_BLOCKS = """
import ctypes, os, sys
from service.infra.allocator import keep_little_memory
from service.infra.memory import resident_bytes
if sys.argv[1] == "bounded":
    keep_little_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def take(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block
libc.free(take(30_000_000))
before = resident_bytes(os.getpid())
blocks = [take(10_000_000) for _ in range(10)]
above_them = take(2_000)
for block in blocks:
    libc.free(block)
print(resident_bytes(os.getpid()) - before)
"""


def kept_bytes(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FREE_LARGE_BLOCKS, how], capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_large_blocks_are_returned_also_below_something_that_is_still_used() -> None:
    assert kept_bytes("by default") > 90e6, "otherwise this test would tell nothing"
    assert kept_bytes("bounded") < 5e6
