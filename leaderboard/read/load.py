"""A folder of logs -> `Logs`: files are found, those that changed are read (in parallel), and tabulated."""

from array import array
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from zapbench.leaderboard.read.cache import LogCache, Record
from zapbench.leaderboard.read.files import Key, find
from zapbench.leaderboard.read.mapping import LogMapping, apply
from zapbench.leaderboard.read.parse import points, read_file, summarise
from zapbench.leaderboard.read.tabulate import Logs, tabulate

PARALLEL_FROM = 200
"""Files from which processes are started."""

CHUNK = 50
"""Files that a process reads at a time."""

Progress = Callable[[int, int], None]


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
    kept = LogCache(cache, f"{folder.resolve()}\n{mapping.key if mapping else ''}")
    missing = [key for key in keys if key not in kept.records]
    for record, key in zip(_read(folder, missing, mapping, progress, workers), missing):
        kept.records[key] = record
    if missing:
        kept.save(keys)
    wanted = [key for key in keys if only is None or key[0].rpartition("/")[0] in only]
    return tabulate((key[0], *kept.records[key]) for key in wanted)


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
