"""The C library's allocator, told to keep what is freed: the next training step asks for the same again."""

import ctypes
import os
import platform

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Of `mallopt`, in glibc's `malloc.h`."""

LARGEST = 32 * 1024 * 1024
"""Bytes from which on an allocation always is the system's own; glibc takes no more."""

ALL = 2**31 - 1


def keep_freed_memory() -> None:
    """Keeps glibc from handing freed memory back to the system, unless the environment already tunes it.

    Left alone, it hands back what a step's large tensors took, and the system clears these pages anew at every step,
    which makes an unfrozen step on 16 or more images take a quarter to a half longer (`benchmarks/allocator.py`). The
    process keeps the most memory that it ever used; it does not use more. On other systems nothing is done.
    """
    tuned = any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"))
    if tuned or platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(MMAP_THRESHOLD, LARGEST)
    library.mallopt(TRIM_THRESHOLD, ALL)
