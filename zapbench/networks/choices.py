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

from zapbench.atomic import write_whole

MARGIN = 1.1
"""A way is preferred to those before it where it is this many times as fast."""

REPETITIONS = 5
ENOUGH_SECONDS = 0.3
"""A way is run until one of the two is reached."""

_choices: dict[str, str] = {}


def choices() -> dict[str, str]:
    """Returns the choices made so far: what was computed -> the name of the way."""
    return dict(_choices)


def set_choices(known: Mapping[str, str]) -> None:
    """Makes these choices, whatever is faster here; the others are still to be measured."""
    _choices.update(known)


def fastest(question: str, ways: Mapping[str, Callable[[], object]]) -> str:
    """Returns the name of the fastest way, measured where neither this process nor the user's cache knows it.

    Args:
        question: what is computed: operation, sizes, type of number.
        ways: the names of the ways, those that are preferred first, and what runs each of them.
    """
    known = _choices.get(question)
    if known not in ways:
        known = _choices[question] = _remembered(question, ways)
    return known


def _remembered(question: str, ways: Mapping[str, Callable[[], object]]) -> str:
    path = _cache_file()
    found = _read(path).get(question)
    if found in ways:
        return found
    measured = _measure(ways)
    with suppress(OSError):  # a cache that cannot be written to: kept for the process
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            kept = _read(path)
            if kept.get(question) in ways:  # another process was faster
                return kept[question]
            write_whole(path, json.dumps(kept | {question: measured}, indent=1).encode())
    return measured


def _measure(ways: Mapping[str, Callable[[], object]]) -> str:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        run()  # compiles, allocates
    for _ in range(REPETITIONS):
        for name, run in ways.items():
            if sum(seconds[name]) < ENOUGH_SECONDS:
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    best, *others = ways
    for name in others:
        if min(seconds[name]) * MARGIN < min(seconds[best]):
            best = name
    return best


def _cache_file() -> Path:
    machine = f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    name = hashlib.sha256(machine.encode()).hexdigest()[:12]
    return Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "choices" / f"{name}.json"


def _processor() -> str:
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
