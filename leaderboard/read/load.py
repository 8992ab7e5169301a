"""Folders of logs -> `Logs`: runs are found, those that changed are read (in parallel), and tabulated."""

import itertools
from array import array
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from zapbench.leaderboard.read.cache import LogCache, Record
from zapbench.leaderboard.read.files import Run, find, runs_of
from zapbench.leaderboard.read.mapped import read_mapped, with_hyperparameters
from zapbench.leaderboard.read.mapping import LogMapping
from zapbench.leaderboard.read.parse import points, read_file, summarise
from zapbench.leaderboard.read.tabulate import Logs, tabulate
from zapbench.text import one_line

PARALLEL_FROM = 200
"""Runs from which processes are started."""

CHUNK = 50
"""Runs that a process reads at a time."""

Progress = Callable[[int, int], None]


def load(
    folder: Path | Sequence[Path],
    *,
    mapping: LogMapping | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    workers: int = 1,
    only: Container[str] | None = None,
) -> Logs:
    """Reads every event file below a folder, or below several.

    Args:
        folder: the logs; of several folders the order says whose record of a task counts, see `merge`.
        mapping: how to read logs that zapbench did not write; None for its own. A mapped folder is one run, as
            TensorBoard has it: its files are merged.
        cache: folder to keep in what was read; None for no cache.
        progress: called with the number of runs read and to read.
        workers: processes to read with. More than one needs what `multiprocessing` needs: a main module that can be
            imported; so a script calls this below `if __name__ == "__main__"`.
        only: the folders (paths below `folder`) whose records count, as if there were no others; None for all.

    Raises:
        ValueError: there is no such folder, no event file in it, or a folder is given twice.
    """
    folders = _named([folder] if isinstance(folder, Path) else folder)
    records = []
    problems = []
    for name, place in folders.items():
        below = f"{name}/" if name else ""
        found = find(place)
        if not found.files:
            raise ValueError("; ".join([f"no event files below {place}", *found.problems[:3]]))
        problems += [f"{below}{problem}" for problem in found.problems]
        runs = runs_of(found.files, by_folder=mapping is not None)
        if mapping is not None:
            runs = with_hyperparameters(mapping, place, runs)
        kept = LogCache(cache, f"{place.resolve()}\n{mapping.key if mapping else ''}")
        missing = [run for run in runs if kept.get(run) is None]
        for record, run in zip(_read(place, missing, mapping, progress, workers), missing):
            kept.put(run, record)
        if missing:
            kept.save(runs)
        wanted = [run for run in runs if only is None or run.name.rpartition("/")[0] in only]
        records += [(name, f"{below}{run.name}", *own) for run in wanted if (own := kept.get(run)) is not None]
    logs = tabulate(records, folders)
    logs.problems += problems
    return logs


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Returns a short name for each folder; the only one has an empty name."""
    if len(folders) == 1:
        return {"": folders[0]}
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for folder in folders:
        place = folder.resolve()
        if place in seen:
            raise ValueError(f"{folder} is given twice")
        seen.add(place)
        plain = one_line(place.name) or "root"
        names = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
        found[next(name for name in names if name not in found)] = folder
    return found


def _read(
    folder: Path, runs: Sequence[Run], mapping: LogMapping | None, progress: Progress | None, workers: int
) -> Iterable[Record]:
    chunks = [(folder, runs[i : i + CHUNK], mapping) for i in range(0, len(runs), CHUNK)]
    done = 0
    if len(runs) < PARALLEL_FROM or workers < 2:
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
                progress(done, len(runs))
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _read_chunk(
    chunk: tuple[Path, Sequence[Run], LogMapping | None],
) -> list[tuple[dict[str, Any], "array[float]"]]:
    folder, runs, mapping = chunk
    if mapping is not None:
        return [read_mapped(mapping, folder, run) for run in runs]
    files = [read_file(folder / run.name) for run in runs]
    return [(summarise(file), points(file)) for file in files]
