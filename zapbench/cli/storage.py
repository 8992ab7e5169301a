"""Examines the folders that zapbench writes and reads, and the data sets."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from zapbench.cli.diagnosis import BROKEN, NOTE, OK, Diagnosis

LITTLE_SPACE = 1e9
"""Free bytes below which a folder is reported: a suite with its checkpoints takes some hundred megabytes."""


def examine_folders(out: Path) -> Iterator[Diagnosis]:
    """Yields whether the output folder and the cache folder can be written, and their free space."""
    from zapbench.scenarios.roots import cache_root

    for subject, folder, remedy in (
        ("output folder", out, "choose another: --out FOLDER"),
        ("cache folder", cache_root(), "choose another: export XDG_CACHE_HOME=FOLDER"),
    ):
        reason, free = _writable(folder)
        if reason:
            yield Diagnosis(subject, BROKEN, f"{folder} cannot be written to: {reason}", remedy)
        elif free < LITTLE_SPACE:
            yield Diagnosis(subject, NOTE, f"{folder}, with {free / 1e6:,.0f} MB free", remedy)
        else:
            yield Diagnosis(subject, OK, f"{folder}, with {free / 1e9:,.0f} GB free")


def _writable(folder: Path) -> tuple[str, float]:
    """Returns the reason why a folder or its nearest existing parent cannot be written (or nothing), and free bytes."""
    try:
        existing = next(f for f in (folder.absolute(), *folder.absolute().parents) if f.exists())
        with tempfile.TemporaryFile(dir=existing):
            return "", shutil.disk_usage(existing).free
    except OSError as error:
        return error.strerror or type(error).__name__, 0.0


def examine_data() -> Iterator[Diagnosis]:
    """Yields the state of the data folder and of every data set."""
    from zapbench.scenarios.catalog import CATALOG

    folder = _data_folder()
    yield folder
    if folder.state != BROKEN:
        yield from map(_data_set, CATALOG)


def _data_folder() -> Diagnosis:
    from zapbench.scenarios.roots import data_root

    root = data_root()
    origin = "$ZAPBENCH_DATA" if os.environ.get("ZAPBENCH_DATA") else "the platform's cache folder"
    detail = f"{root} ({origin})"
    reason, _ = _writable(root)
    if root.exists() and not root.is_dir():
        detail += " is not a folder"
    elif root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        detail += " cannot be read"
    elif not root.is_dir() and reason:
        detail += f" does not exist and cannot be created: {reason}"
    elif not root.is_dir():
        return Diagnosis("data folder", NOTE, f"{detail} does not exist yet; the first download creates it")
    elif reason:
        return Diagnosis("data folder", NOTE, f"{detail} can be read, but nothing can be downloaded into it: {reason}")
    else:
        return Diagnosis("data folder", OK, detail)
    return Diagnosis("data folder", BROKEN, detail, "choose another: export ZAPBENCH_DATA=FOLDER")


def _data_set(name: str) -> Diagnosis:
    from zapbench.scenarios.catalog import CATALOG

    about = CATALOG[name]
    subject, purpose = f"data {name}", f"for {', '.join(about.scenarios)}"
    remedy = f"zapbench data fetch {name}" if about.archives else about.otherwise
    found = about.find()
    if not about.folder:
        return Diagnosis(subject, OK, f"drawn by the code, needs no download; {purpose}")
    if found is None:
        return Diagnosis(subject, NOTE, f"not found; {purpose}", remedy)
    if empty := [path for path in found if _is_empty(path)]:
        return Diagnosis(subject, BROKEN, f"{empty[0]} is empty", f"delete it, then: {remedy}")
    return Diagnosis(subject, OK, f"{', '.join(map(str, found))}; {purpose}")


def _is_empty(path: Path) -> bool:
    return not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
