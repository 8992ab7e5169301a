"""Decoded images on disk: built once, read as memory maps, never seen half-written."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from zapbench.scenarios.scenario import Images


def cache_root() -> Path:
    """Returns the folder of decoded data: the platform's cache folder, never `$ZAPBENCH_DATA`."""
    return Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "decoded"


def digest(pixels: "np.typing.NDArray[np.uint8]", labels: "np.typing.NDArray[np.int64]") -> str:
    """Returns the hex SHA-256 of decoded original images and their labels, in their order."""
    whole = hashlib.sha256(str(pixels.shape).encode())
    whole.update(np.ascontiguousarray(pixels).data)
    whole.update(np.ascontiguousarray(labels, dtype=np.int64).data)
    return whole.hexdigest()


def cached(name: str, key: dict[str, Any], build: Callable[[], Images]) -> Images:
    """Returns `build()`, or what an earlier call with the same key left on disk.

    The folder appears whole (a temporary one is renamed); where nothing can be written the images stay in memory.

    Args:
        name: start of the folder's name.
        key: everything that decides the result: content, transform, versions.
        build: decodes the images.
    """
    text = json.dumps(key, sort_keys=True)
    folder = cache_root() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return _read(folder)
    images = build()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError:
        return images
    try:
        _write(part, images)
        os.replace(part, folder)
    except OSError:  # the disk is full, or another process was first
        shutil.rmtree(part, ignore_errors=True)
        return _read(folder) if folder.is_dir() else images
    return _read(folder)


def _write(folder: Path, images: Images) -> None:
    np.save(folder / "pixels.npy", images.pixels)
    np.save(folder / "labels.npy", images.labels)
    if images.groups is not None:
        np.save(folder / "groups.npy", images.groups)
    meta = {"classes": images.classes, "digest": images.digest}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _read(folder: Path) -> Images:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    groups = folder / "groups.npy"
    return Images(
        pixels=np.load(folder / "pixels.npy", mmap_mode="r"),
        labels=np.load(folder / "labels.npy"),
        classes=tuple(meta["classes"]),
        digest=meta["digest"],
        groups=np.load(groups) if groups.exists() else None,
    )
