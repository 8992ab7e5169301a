"""Atomic writes: a file appears complete or not at all."""

import errno
import os
from pathlib import Path

LOCK_FILE = ".lock"
"""The file in the folder of a run or a page that its only writer locks."""

PARTIAL = ".part-"
"""How the name of a file begins that is being written; a crash may leave one, and it is ignored."""

FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the output folder that every other run would meet, too."""


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file atomically: under another name in the same folder, synced, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{PARTIAL}{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Removes files below a folder that a crash left partially written; the caller holds the folder's lock."""
    for partial in folder.rglob(f"{PARTIAL}*"):
        partial.unlink(missing_ok=True)
