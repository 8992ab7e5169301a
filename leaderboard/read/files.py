"""Finds event files below a folder, and says which of them make a run."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zapbench.text import one_line

Stamp = tuple[int, ...]
"""Size, times of change of content and of inode in nanoseconds, and inode: of one file, or of several in a row."""


@dataclass(frozen=True)
class Run:
    """The event files that are read as one record.

    Attributes:
        name: path below the folder, with slashes: of the file, or of the folder (with a slash at its end).
        files: paths below the folder, sorted.
        stamp: changes whenever one of these files does.
        beside: further files, paths below the folder, that hold its hyper-parameters.
    """

    name: str
    files: tuple[str, ...]
    stamp: Stamp
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What stands below a folder.

    Attributes:
        files: event file -> stamp, sorted by path.
        problems: folders that cannot be read, a line each.
    """

    files: dict[str, Stamp]
    problems: list[str]


def find(folder: Path) -> Found:
    """Returns the event files below a folder; hidden files are ignored.

    Links to folders are followed, as TensorBoard does; a folder that several paths lead to is read once.

    Raises:
        ValueError: there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}")
    found: dict[str, Stamp] = {}
    problems: list[str] = []

    def unreadable(error: OSError, what: str = "a folder that cannot be read") -> None:
        place = os.path.relpath(error.filename, folder).replace(os.sep, "/")
        problems.append(one_line(f"{place}: {what} ({error.strerror})"))

    seen = {_place(folder)}
    for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(os.path.join(root, name), seen)]
        for name in names:
            if "tfevents" in name and not name.startswith("."):
                path = os.path.join(root, name)
                try:
                    status = os.stat(path)
                except FileNotFoundError:  # deleted since, or a link to a file that does not exist
                    continue
                except OSError as error:
                    unreadable(error, "cannot be read")
                    continue
                if stat.S_ISREG(status.st_mode):  # opening a pipe would block
                    found[os.path.relpath(path, folder).replace(os.sep, "/")] = stamp_of(status)
    return Found(dict(sorted(found.items())), problems)


def stamp_of(status: os.stat_result) -> Stamp:
    """Returns a file's stamp."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _place(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    """Says whether a folder was not seen before, and notes it; a link can lead back to a folder above it."""
    try:
        place = _place(folder)
    except OSError:  # deleted since, or not to be looked at: reading it says which
        return True
    if place in seen:
        return False
    seen.add(place)
    return True


def runs_of(files: dict[str, Stamp], *, by_folder: bool) -> list[Run]:
    """Returns the runs that files make: a file each, or, as TensorBoard has it, a folder each."""
    if not by_folder:
        return [Run(name, (name,), stamp) for name, stamp in files.items()]
    folders: dict[str, list[str]] = {}
    for name in files:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    return [Run(f"{folder}/", tuple(names), _together(names, files)) for folder, names in sorted(folders.items())]


def _together(names: Sequence[str], files: dict[str, Stamp]) -> Stamp:
    return tuple(number for name in names for number in files[name])
