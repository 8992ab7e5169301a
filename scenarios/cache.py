"""Decoded images on disk: built once, verified at each opening, read as memory maps.

A folder of the cache holds `pixels.npy`, `labels.npy`, `groups.npy` (where images have groups) and `meta.json`, whose
`files` gives the SHA-256 of each array file and whose `sha256` is the hash of everything else in it. A folder that does
not verify is built again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
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


class Damaged(Exception):
    """A folder of the cache is not what was written; says which file."""


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

    The folder is written atomically; a second process waits for the first and writes nothing. A damaged folder is
    written again. Where the cache folder cannot be used, the images are made in a temporary folder and kept in memory.

    Args:
        name: start of the folder's name.
        key: everything that decides the result: content, transform, versions.
        write: fills the folder with `pixels.npy` and what `write_facts` writes.

    Raises:
        ValueError: `write` refuses what it reads.
        OSError: there is no space for a temporary folder either.
    """
    text = json.dumps(key, sort_keys=True)
    folder = cache_root() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    try:
        found = _intact(folder)
        if found is None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.parent / f".{folder.name}.lock"):
                found = _intact(folder, warn=True)  # another process may have written it meanwhile
                if found is None:
                    _make(folder, write)
                    found = _verified(folder)
    except OSError:  # no permission, the disk is full, or the cache folder is a file
        found = None
    except Damaged:  # what was just written reads differently
        found = None
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="zapbench-") as elsewhere:
        write(Path(elsewhere))
        return _read(Path(elsewhere), _seal(Path(elsewhere)), mapped=False)


def forget(name: str) -> None:
    """Removes the decoded copies of a data set: the next start decodes it again."""
    for folder in cache_root().glob(f"{name}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def write_facts(folder: Path, labels: Indices, facts: Mapping[str, Any], groups: Indices | None = None) -> None:
    """Writes all files of an image set but its pixels; `facts` holds `CLASSES` and `DIGEST`."""
    np.save(folder / "labels.npy", labels)
    if groups is not None:
        np.save(folder / "groups.npy", groups)
    (folder / "meta.json").write_text(json.dumps(dict(facts)), encoding="utf-8")


def _write(folder: Path, images: Images) -> None:
    np.save(folder / "pixels.npy", images.pixels)
    write_facts(folder, images.labels, {CLASSES: images.classes, DIGEST: images.digest}, images.groups)


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder beside and renames it; the caller holds its lock."""
    for left_behind in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left_behind, ignore_errors=True)  # its writer was killed: the lock is ours
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(part)
        _seal(part)
        if folder.exists():
            os.replace(folder, part / "damaged")
        os.replace(part, folder)
        shutil.rmtree(folder / "damaged", ignore_errors=True)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _seal(folder: Path) -> dict[str, Any]:
    """Adds the hashes of its files to a folder and syncs it to disk; returns what its `meta.json` holds."""
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    meta["files"] = {path.name: _hash(path) for path in sorted(folder.glob("*.npy"))}
    meta["sha256"] = _hash_of(meta)
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)
    return meta


def _intact(folder: Path, *, warn: bool = False) -> Images | None:
    """Returns the images of a folder; None where it is missing or damaged, which is a warning on standard error."""
    if not folder.is_dir():
        return None
    try:
        return _verified(folder)
    except Damaged as damage:
        if warn:
            print(f"zapbench: the decoded copy {folder} is damaged ({damage}); it is built again", file=sys.stderr)
        return None


def _verified(folder: Path) -> Images:
    """Returns the images of a folder.

    Raises:
        Damaged: a file is missing or differs from what was written.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        intact = meta.pop("sha256") == _hash_of(meta)
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise Damaged("meta.json")
    for name, expected in meta["files"].items():
        try:
            found = _hash(folder / name)
        except OSError as error:
            raise Damaged(f"{name}: {error.strerror}") from None
        if found != expected:
            raise Damaged(name)
    return _read(folder, meta)


def _read(folder: Path, meta: Mapping[str, Any], *, mapped: bool = True) -> Images:
    return Images(
        # Copy-on-write: torch asks for arrays that can be written to, and the file stays as it is.
        pixels=np.load(folder / "pixels.npy", mmap_mode="c" if mapped else None),
        labels=np.load(folder / "labels.npy"),
        classes=tuple(meta[CLASSES]),
        digest=meta[DIGEST],
        groups=np.load(folder / "groups.npy") if "groups.npy" in meta["files"] else None,
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_of(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Flushes a file or folder to disk, where the system can."""
    with contextlib.suppress(PermissionError):  # Windows opens no folders
        file = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(file)
        finally:
            os.close(file)
