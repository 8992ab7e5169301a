"""Decoded images on disk: built once, read as memory maps, never seen half-written."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from zapbench.scenarios.images import Images, Indices
from zapbench.scenarios.roots import cache_root

CLASSES = "classes"
DIGEST = "digest"


def cached(name: str, key: Mapping[str, Any], build: Callable[[], Images]) -> Images:
    """Returns `build()`, or what an earlier call with the same key left on disk.

    Args:
        name: start of the folder's name.
        key: everything that decides the result: content, transform, versions.
        build: makes the images.
    """
    return stored(name, key, lambda folder: _write(folder, build()))


def stored(name: str, key: Mapping[str, Any], write: Callable[[Path], None]) -> Images:
    """Returns the images that `write` puts into a folder, or what an earlier call with the same key left on disk.

    The folder appears whole (a temporary one is renamed); a second process waits for the first and writes nothing.
    Where the cache folder cannot be written, the images are made in a temporary folder and stay in memory.

    Args:
        name: start of the folder's name.
        key: everything that decides the result: content, transform, versions.
        write: fills the folder with `pixels.npy` and what `write_facts` writes.
    """
    text = json.dumps(key, sort_keys=True)
    folder = cache_root() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return _read(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not folder.is_dir():
                _make(folder, write)
    except OSError:  # no permission, or the disk is full
        with tempfile.TemporaryDirectory(prefix="zapbench-") as elsewhere:
            write(Path(elsewhere))
            return _read(Path(elsewhere), mapped=False)
    return _read(folder)


def forget(name: str) -> None:
    """Removes the decoded copies of a data set: the next start decodes it anew."""
    for folder in cache_root().glob(f"{name}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    for left_behind in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left_behind, ignore_errors=True)  # whoever made it was killed: the lock is ours
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(part)
        os.replace(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_facts(folder: Path, labels: Indices, facts: Mapping[str, Any], groups: Indices | None = None) -> None:
    """Writes all of an image set but its pixels; `facts` holds `CLASSES` and `DIGEST`."""
    np.save(folder / "labels.npy", labels)
    if groups is not None:
        np.save(folder / "groups.npy", groups)
    (folder / "meta.json").write_text(json.dumps(facts), encoding="utf-8")


def _write(folder: Path, images: Images) -> None:
    np.save(folder / "pixels.npy", images.pixels)
    write_facts(folder, images.labels, {CLASSES: images.classes, DIGEST: images.digest}, images.groups)


def _read(folder: Path, *, mapped: bool = True) -> Images:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    groups = folder / "groups.npy"
    return Images(
        # Copy-on-write: torch wants arrays that could be written to, and the file stays as it is.
        pixels=np.load(folder / "pixels.npy", mmap_mode="c" if mapped else None),
        labels=np.load(folder / "labels.npy"),
        classes=tuple(meta[CLASSES]),
        digest=meta[DIGEST],
        groups=np.load(groups) if groups.exists() else None,
    )
