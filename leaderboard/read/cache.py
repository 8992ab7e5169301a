"""Keeps what was read of a folder of logs, in the platform's cache folder, never beside the logs."""

import contextlib
import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.files import Run, Stamp

VERSION = 7
"""Of the cache: raised when what is kept changes."""

Record = tuple[dict[str, Any], npt.NDArray[np.float64]]
"""A run's summary (plain JSON values) and its curves, an array `(points, 4)`."""


def default_cache() -> Path:
    """Returns the folder that the commands keep in what they read."""
    return Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "logs"


class LogCache:
    """What earlier calls read of one folder: summaries as JSON, curves as one array that is mapped, not read.

    Either has a checksum; what is damaged counts as not there.

    Args:
        root: the folder of the cache; None for no cache.
        about: what the records depend on beside the files: the folder, and the mapping that they were read by.
    """

    def __init__(self, root: Path | None, about: str) -> None:
        self._records: dict[tuple[str, Stamp], Record] = {}
        self._name = hashlib.sha256(about.encode(errors="surrogateescape")).hexdigest()[:16]
        self._root = root
        if root is not None:
            try:
                self._records = self._read(root)
            except Exception:  # none yet, or one of another version, or a damaged one, which count as none
                self._records = {}

    def get(self, run: Run) -> Record | None:
        """Returns what is kept of a run, or None where it changed since or is not there."""
        return self._records.get((run.name, run.stamp))

    def put(self, run: Run, record: Record) -> None:
        """Takes in what was read of a run."""
        self._records[run.name, run.stamp] = record

    def _read(self, root: Path) -> dict[tuple[str, Stamp], Record]:
        checksum, _, text = (root / f"{self._name}.json").read_bytes().partition(b"\n")
        if int(checksum, 16) != zlib.crc32(text):
            return {}
        meta = json.loads(text)
        if meta["version"] != [VERSION, contract.SCHEMA]:
            return {}
        path = root / meta["points"]
        points = np.memmap(path, dtype="<f8", mode="r").reshape(-1, 4) if path.stat().st_size else np.empty((0, 4))
        if zlib.crc32(np.ascontiguousarray(points).data) != meta["checksum"]:
            return {}
        records: dict[tuple[str, Stamp], Record] = {}
        start = 0
        for (name, stamp, end), summary in zip(meta["runs"], meta["summaries"], strict=True):
            records[name, tuple(stamp)] = (summary, points[start:end])
            start = end
        return records if start == len(points) else {}

    def save(self, runs: Sequence[Run]) -> None:
        """Writes what is kept of `runs` atomically; where nothing can be written there is no cache."""
        if self._root is None:
            return
        kept = [self._records[run.name, run.stamp] for run in runs]
        content = np.concatenate([points for _, points in kept]).astype("<f8").tobytes()
        points = self._root / f"{self._name}-{uuid.uuid4().hex[:8]}.points"
        ends = np.cumsum([len(points) for _, points in kept]).tolist()
        meta = {
            "version": [VERSION, contract.SCHEMA],
            "points": points.name,
            "checksum": zlib.crc32(content),
            "runs": [(run.name, run.stamp, end) for run, end in zip(runs, ends)],
            "summaries": [summary for summary, _ in kept],
        }
        text = json.dumps(meta).encode()
        part = points.with_suffix(".part")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            points.write_bytes(content)
            part.write_bytes(b"%08x\n%s" % (zlib.crc32(text), text))
            os.replace(part, self._root / f"{self._name}.json")
            for old in [*self._root.glob(f"{self._name}-*.points"), *self._root.glob(f"{self._name}-*.npy")]:
                if old != points:
                    old.unlink(missing_ok=True)
        except OSError:
            for left in (points, part):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
