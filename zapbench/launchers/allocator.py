"""Configures glibc's allocator to keep freed memory, because the next training step allocates the same amount again."""

import ctypes
import os
import platform

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Parameters of `mallopt`, from glibc's `malloc.h`."""

LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024
"""Bytes; glibc accepts no higher threshold. It still maps larger allocations one by one and unmaps them when freed."""

NEVER_TRIM = 2**31 - 1
"""Bytes; freed memory above this threshold is returned to the system."""


def keep_freed_memory() -> None:
    """Keeps glibc from returning freed memory to the system, unless the environment already configures it.

    By default glibc returns the memory of a step's large tensors, and the system clears these pages again at the next
    step; an unfrozen step on 16 or more images then takes 25-50% longer (`benchmarks/allocator.py`). The process's peak
    memory stays the same, but it keeps that peak until it ends. On systems without glibc this does nothing. With torch
    2.15 it reaches numpy's arrays, but not tensors.
    """
    configured = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    if any(name in os.environ for name in configured) or platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    library.mallopt(TRIM_THRESHOLD, NEVER_TRIM)
