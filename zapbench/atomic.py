"""Files that appear whole or not at all."""

import errno
import os
from pathlib import Path

LOCK_FILE = ".lock"
"""Name of the file in a run's folder that its only writer holds a lock on."""

PART = ".part-"
"""Start of the name of a file that is being written; what is left of one by a crash is nobody's record."""

FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the output folder that no other run would escape."""


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that it appears whole or not at all: write beside, sync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{PART}{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def clear_parts(folder: Path) -> None:
    """Removes what a crash left of files that were being written below a folder; for who holds the folder's lock."""
    for part in folder.rglob(f"{PART}*"):
        part.unlink(missing_ok=True)
