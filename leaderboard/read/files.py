"""Finds event files below a folder."""

import os
import stat
from pathlib import Path

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""

Key = tuple[str, Stamp]
"""A file's path below the folder, with slashes, and its stamp."""


def find(folder: Path) -> list[Key]:
    """Returns the event files below a folder, sorted by path; hidden files are ignored.

    Raises:
        ValueError: there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}")
    found: list[Key] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            if "tfevents" in name and not name.startswith("."):
                path = os.path.join(root, name)
                try:
                    status = os.stat(path)
                except OSError:  # deleted since, or a link to a file that does not exist
                    continue
                if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
                    continue
                found.append((os.path.relpath(path, folder).replace(os.sep, "/"), (status.st_size, status.st_mtime_ns)))
    return sorted(found)
