"""Ways to compute the same result, of which the fastest on this machine is measured once and kept.

Ways differ in the last bits of a float32. So a choice, once made, stays: for the process, and, beside torch's version,
the processor's name and the number of threads, in the user's cache. A checkpoint that keeps `choices()` and gives them
to `set_choices` resumes to the same bits on another machine, too.
"""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs
import torch
from filelock import FileLock

from zapbench.atomic import write_atomically

MARGIN = 1.1
"""A way is preferred to those before it where it is this many times as fast."""

LEAST_RUNS, MOST_RUNS = 2, 50
ENOUGH_SECONDS = 0.1
"""A way is measured so many times, or until its runs have taken so long together."""

_choices: dict[str, str] = {}


def choices() -> dict[str, str]:
    """Returns the choices made so far: what was computed -> the name of the way."""
    return dict(_choices)


def set_choices(known: Mapping[str, str]) -> None:
    """Makes these choices, whatever is faster here; the others are still to be measured."""
    _choices.update(known)


def chosen(question: str) -> str | None:
    """Returns the name of the way that was chosen; None where none was."""
    return _choices.get(question)


def fastest(question: str, ways: Mapping[str, Callable[[], object]]) -> str:
    """Returns the name of the fastest way, measured where neither this process nor the user's cache knows it.

    Args:
        question: what is computed: operation, sizes, type of number.
        ways: the names of the ways, those that are preferred first, and what runs each of them.
    """
    if _choices.get(question) not in ways:
        _choices[question] = _remembered(question, ways)
    return _choices[question]


def _remembered(question: str, ways: Mapping[str, Callable[[], object]]) -> str:
    path = _cache_file()
    known = _read(path)
    if known.get(question) in ways:
        return known[question]
    measured = _measure(ways)
    with suppress(OSError):  # a cache that cannot be written to: kept for the process
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            known = _read(path)
            if known.get(question) in ways:  # another process was faster
                return known[question]
            write_atomically(path, json.dumps(known | {question: measured}, indent=1).encode())
    return measured


def _measure(ways: Mapping[str, Callable[[], object]]) -> str:
    """Returns which way's shortest run is the shortest: what disturbs a run only makes it longer."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        run()  # compiles, allocates
    for number in range(MOST_RUNS):
        for name, run in ways.items():
            if number < LEAST_RUNS or sum(seconds[name]) < ENOUGH_SECONDS:
                start = clock()
                run()
                seconds[name].append(clock() - start)
    best, *others = ways
    for name in others:
        if min(seconds[name]) * MARGIN < min(seconds[best]):
            best = name
    return best


def _cache_file() -> Path:
    machine = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    name = hashlib.sha256(machine.encode()).hexdigest()[:12]
    return Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "choices" / f"{name}.json"


def processor() -> str:
    """Returns the processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _read(path: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        kept = json.loads(path.read_text())
        if isinstance(kept, dict):
            return kept
    return {}
