"""Bounds what the C library keeps of memory that was freed. Elsewhere than in glibc, nothing changes. Source: mallopt(3)."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Source: glibc's ``malloc.h``."""
MAPPED_FROM_BYTES = 8 * 1024**2
"""What is as large is returned as soon as it is freed. From 1 MiB on, requests of 1 MB took an eighth longer."""
KEPT_BYTES = 16 * 1024**2
"""Of what is free at the end of a heap."""
HEAPS = 2


def keep_little_memory() -> None:
    """Keep little of what large requests have taken; to be called before there are threads, whose heaps would stay.

    By itself glibc raises the first two of these to what was freed last (up to 32 and 64 MiB), and has eight heaps for each
    core, so a process that once had large bodies in many threads keeps most of their memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_ARENA_MAX, HEAPS)
