"""A folder of event files -> tables: one row a trial, one row a run, and what could not be used, with the reason.

Files are read in parallel. What was read is kept in a cache (in the platform's cache folder, never beside the logs),
keyed by each file's path, size and time of change, so that a second call reads what is new.
"""

import hashlib
import json
import os
import stat
import uuid
from array import array
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import platformdirs

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.mapping import LogMapping, apply
from zapbench.leaderboard.read.parse import points, read_file, summarise
from zapbench.text import one_line

VERSION = 3
"""Of the cache: raised when what is kept changes."""

PARALLEL_FROM = 200
CHUNK = 50
Progress = Callable[[int, int], None]
Stamp = tuple[int, int]
Key = tuple[str, Stamp]


def default_cache() -> Path:
    """Returns the folder that the commands keep in what they read."""
    return Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "logs"


@dataclass
class Logs:
    """A folder of logs.

    Attributes:
        trials: one row a trial: identity, status, final scores.
        runs: one row a pre-trained model: identity, status, validation accuracy, cost.
        problems: one line a file that could not be used.
        facts: fingerprint -> the fields that it was made of.
    """

    trials: pd.DataFrame
    runs: pd.DataFrame
    problems: list[str]
    facts: dict[str, dict[str, Any]]
    _points: list[npt.NDArray[np.float64]] = field(default_factory=list, repr=False)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row a trial and point: trial (its row in `trials`), step, held_out, trained_on, forgetting."""
        columns = ["step", "held_out", "trained_on", "forgetting"]
        if not self._points:
            return pd.DataFrame(columns=["trial", *columns])
        table = pd.DataFrame(np.concatenate(self._points), columns=columns)
        table.insert(0, "trial", np.repeat(np.arange(len(self._points)), [len(p) for p in self._points]))
        return table.astype({"step": int})


def load(
    folder: Path,
    *,
    mapping: LogMapping | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    workers: int = 1,
    only: Container[str] | None = None,
) -> Logs:
    """Reads every event file below a folder.

    Args:
        folder: the logs.
        mapping: how to read logs that zapbench did not write; None for its own.
        cache: folder to keep in what was read; None for no cache.
        progress: called with the number of files read and to read.
        workers: processes to read with. More than one needs what `multiprocessing` needs: a main module that can be
            imported; so a script calls this below `if __name__ == "__main__"`.
        only: the folders (paths below `folder`) whose records count, as if there were no others; None for all.

    Raises:
        ValueError: there is no such folder, or no event file in it.
    """
    keys = find(folder)
    if not keys:
        raise ValueError(f"no event files below {folder}")
    kept = _Cache(cache, folder, mapping)
    missing = [key for key in keys if key not in kept.records]
    for record, key in zip(_read(folder, missing, mapping, progress, workers), missing):
        kept.records[key] = record
    if missing:
        kept.save(keys)
    wanted = [key for key in keys if only is None or key[0].rpartition("/")[0] in only]
    return tabulate((key[0], *kept.records[key]) for key in wanted)


Record = tuple[dict[str, Any], npt.NDArray[np.float64]]


def find(folder: Path) -> list[Key]:
    """Returns the event files below a folder, sorted by path, with size and time of change; hidden ones are nobody's.

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
                except OSError:  # gone since, or a link to nowhere
                    continue
                if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
                    continue
                found.append((os.path.relpath(path, folder).replace(os.sep, "/"), (status.st_size, status.st_mtime_ns)))
    return sorted(found)


def _read(
    folder: Path, keys: Sequence[Key], mapping: LogMapping | None, progress: Progress | None, workers: int
) -> Iterable[Record]:
    chunks = [(folder, [name for name, _ in keys[i : i + CHUNK]], mapping) for i in range(0, len(keys), CHUNK)]
    done = 0
    if len(keys) < PARALLEL_FROM or workers < 2:
        parts: Iterable[list[tuple[dict[str, Any], array[float]]]] = map(_read_chunk, chunks)
        pool = None
    else:
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        parts = pool.map(_read_chunk, chunks)
    try:
        for part in parts:
            for summary, flat in part:
                yield summary, np.frombuffer(flat, dtype=np.float64).reshape(-1, 4)
            done += len(part)
            if progress is not None:
                progress(done, len(keys))
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _read_chunk(
    chunk: tuple[Path, list[str], LogMapping | None],
) -> list[tuple[dict[str, Any], "array[float]"]]:
    folder, names, mapping = chunk
    if mapping is not None:
        return [apply(mapping, name, read_file(folder / name, ours=False)) for name in names]
    files = [read_file(folder / name) for name in names]
    return [(summarise(file), points(file)) for file in files]


class _Cache:
    """What earlier calls read of one folder: summaries as JSON, curves as one array that is mapped, not read."""

    def __init__(self, root: Path | None, folder: Path, mapping: LogMapping | None) -> None:
        self.records: dict[Key, Record] = {}
        about = f"{folder.resolve()}\n{mapping.key if mapping else ''}"
        self._name = hashlib.sha256(about.encode()).hexdigest()[:16]
        self._root = root
        if root is None:
            return
        try:
            meta = json.loads((root / f"{self._name}.json").read_bytes())
            if meta["version"] == [VERSION, contract.SCHEMA]:
                whole = np.load(root / meta["points"], mmap_mode="r", allow_pickle=False)
                start = 0
                for (path, size, time, end), summary in zip(meta["keys"], meta["summaries"], strict=True):
                    self.records[path, (size, time)] = (summary, whole[start:end])
                    start = end
                if start != len(whole):
                    self.records = {}
        except Exception:  # none yet, or a damaged one, which is none
            self.records = {}

    def save(self, keys: Sequence[Key]) -> None:
        """Writes the records of `keys`, whole or not at all; where nothing can be written there is no cache."""
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


TRIAL_COLUMNS = (
    "file", "scenario", "protocol", "method", "strategy", "learner", "transfer", "fingerprint", "config_hash",
    "setting", "rate", "role", "pretrain_seed", "transfer_seed", "settings_tried", "outputs", "common_classes", "draws",
    "encoder", "input_size", "status", "reason", "held_out", "held_out_seen", "trained_on", "forgetting", "area",
    "seconds", "peak_memory",
)  # fmt: skip
RUN_COLUMNS = (
    "file", "scenario", "method", "config_hash", "pretrain_seed", "encoder", "input_size", "status", "reason",
    "validation", "updates", "images_seen", "gradient_steps", "seconds", "peak_memory", "parameters",
)  # fmt: skip
_NUMBERS = (
    "held_out", "held_out_seen", "trained_on", "forgetting", "area", "seconds", "peak_memory", "validation",
    "images_seen", "gradient_steps", "parameters", "common_classes",
)  # fmt: skip


def tabulate(records: Iterable[tuple[str, dict[str, Any], npt.NDArray[np.float64]]]) -> Logs:
    """Turns records into tables; `file` columns are paths below the folder.

    Of two records of one trial or run the one that ended is kept, else the first by path; the other is named in the
    problems: as a copy, or as a contradiction where they differ in a score.
    """
    settled = (contract.FINISHED, contract.DIVERGED)
    records = sorted(records, key=lambda record: (record[1]["status"] not in settled, record[0]))
    trials: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    curves: list[npt.NDArray[np.float64]] = []
    problems: list[str] = []
    facts: dict[str, dict[str, Any]] = {}
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, summary, part in records:
        about = summary["about"]
        if summary["problem"] or about is None:
            problems.append(one_line(f"{name}: {summary['problem']}"))
            continue
        row = _row(name, summary, about)
        identity = _identity(row, about)
        if identity in seen:
            problems.append(one_line(f"{name}: {_twice(seen[identity], row)}"))
            continue
        seen[identity] = row
        if about["transfer"] is None:
            runs.append(row)
        else:
            facts.setdefault(about["fingerprint"], about["fingerprint_fields"])
            trials.append(row)
            curves.append(part)
    return Logs(_frame(trials, TRIAL_COLUMNS), _frame(runs, RUN_COLUMNS), problems, facts, curves)


def _frame(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.astype({name: float for name in _NUMBERS if name in columns})


def _row(name: str, summary: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    scores = {key: value for key, value in summary.items() if key not in ("problem", "about")}
    method = f"{about['method']} + {about['learner']}" if about["learner"] and about["transfer"] else about["method"]
    setting = ", ".join(f"{key}={value}" for key, value in sorted(about["setting"].items()))
    return {**about, **scores, "file": name, "method": method, "setting": setting}


def _identity(row: dict[str, Any], about: dict[str, Any]) -> tuple[Any, ...]:
    names = ("scenario", "config_hash", "pretrain_seed", "transfer", "fingerprint", "rate", "role", "transfer_seed")
    return (row["method"], *(about[name] for name in names))


def _twice(first: dict[str, Any], second: dict[str, Any]) -> str:
    scores = ("status", "held_out", "trained_on", "forgetting", "area", "validation")
    if all(first[name] == second[name] for name in scores):
        return f"a copy of {first['file']}"
    if second["status"] == contract.UNFINISHED:
        return f"an unfinished copy of {first['file']}"
    return f"the same task as {first['file']}, with other scores"
