"""Keeps what was read of a folder of logs, in the platform's cache folder, never beside the logs."""

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.files import Key

VERSION = 3
"""Of the cache: raised when what is kept changes."""

Record = tuple[dict[str, Any], npt.NDArray[np.float64]]
"""A file's summary (plain JSON values) and its curves, an array `(points, 4)`."""


def default_cache() -> Path:
    """Returns the folder that the commands keep in what they read."""
    return Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "logs"


class LogCache:
    """What earlier calls read of one folder: summaries as JSON, curves as one array that is mapped, not read.

    Args:
        root: the folder of the cache; None for no cache.
        about: what the records depend on beside the files: the folder, and the mapping that they were read by.
    """

    def __init__(self, root: Path | None, about: str) -> None:
        self.records: dict[Key, Record] = {}
        self._name = hashlib.sha256(about.encode()).hexdigest()[:16]
        self._root = root
        if root is not None:
            try:
                self.records = self._read(root)
            except Exception:  # none yet, or a damaged one, which counts as none
                self.records = {}

    def _read(self, root: Path) -> dict[Key, Record]:
        meta = json.loads((root / f"{self._name}.json").read_bytes())
        if meta["version"] != [VERSION, contract.SCHEMA]:
            return {}
        points = np.load(root / meta["points"], mmap_mode="r", allow_pickle=False)
        records: dict[Key, Record] = {}
        start = 0
        for (path, size, time, end), summary in zip(meta["keys"], meta["summaries"], strict=True):
            records[path, (size, time)] = (summary, points[start:end])
            start = end
        return records if start == len(points) else {}

    def save(self, keys: Sequence[Key]) -> None:
        """Writes the records of `keys` atomically; where nothing can be written there is no cache."""
        if self._root is None:
            return
        parts = [self.records[key][1] for key in keys]
        points = self._root / f"{self._name}-{uuid.uuid4().hex[:8]}.npy"
        meta = {
            "version": [VERSION, contract.SCHEMA],
            "points": points.name,
            "keys": [(name, *stamp, end) for (name, stamp), end in zip(keys, np.cumsum([*map(len, parts)]).tolist())],
            "summaries": [self.records[key][0] for key in keys],
        }
        part = points.with_suffix(".part")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            np.save(points, np.concatenate(parts))
            part.write_text(json.dumps(meta), encoding="utf-8")
            os.replace(part, self._root / f"{self._name}.json")
            for old in self._root.glob(f"{self._name}-*.npy"):
                if old != points:
                    old.unlink(missing_ok=True)
        except OSError:
            for left in (points, part):
                left.unlink(missing_ok=True)
