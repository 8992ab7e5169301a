"""Which record of a task counts, where there are several, and what a folder may add to the methods of an earlier one.

The rule: of several records of one task the first counts, in the order of the folders and then of their paths; in one
folder a record of a task that ended counts before one that did not. A method belongs to the first folder that has it.
A later folder adds nothing to it, neither seeds nor settings, rates or trials: what another person ran may not change
a row, for better or worse. Records that do not count are kept for what they say: how well a result is reproduced.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.names import name_rows

_TASK = (
    "scenario", "parts", "config_hash", "pretrain_seed", "transfer", "fingerprint", "rate", "role", "transfer_seed",
)  # fmt: skip
_NOT_IN_ALL = ("transfer_hash", "method_hash", "weights")
"""Parts of a task's identity that some records lack: what is not known is not compared."""
_SCORES = ("status", "held_out", "trained_on", "forgetting", "area", "validation")


@dataclass(frozen=True)
class Repeat:
    """A record of a task that an earlier record is kept of.

    Attributes:
        method: the row's name.
        scenario: of the task.
        fingerprint: of the trial; empty for a pre-training.
        file: where it is.
        kept: the file that counts.
        difference: of the final held-out accuracy, or of the last validation accuracy, absolute, in [0, 1]; NaN where
            one of the two has none.
        is_copy: whether all scores are equal.
        status: how it ended.
    """

    method: str
    scenario: str
    fingerprint: str
    file: str
    kept: str
    difference: float
    is_copy: bool
    status: str


@dataclass(frozen=True)
class Unmerged:
    """A record of a method that belongs to an earlier folder, of a task that this folder lacks.

    Attributes:
        method: the row's name.
        scenario: of the task.
        fingerprint: of the trial; empty for a pre-training.
        folder: the name of its folder.
        setting: tuned bindings, in words.
        rate: transfer learning rate; None for a pre-training.
        seed: pre-training seed.
        lacking: what of it the earlier folder lacks: `setting`, `rate` or `seed`.
    """

    method: str
    scenario: str
    fingerprint: str
    folder: str
    setting: str
    rate: float | None
    seed: int
    lacking: str


@dataclass(frozen=True)
class Merged:
    """The rows that count, what the others say, and bindings that all rows of a scenario share."""

    rows: list[dict[str, Any]]
    repeats: list[Repeat]
    unmerged: list[Unmerged]
    common: dict[str, tuple[str, ...]]


def merge(rows: list[dict[str, Any]]) -> Merged:
    """Names rows and returns those that count, folder by folder and path by path.

    Args:
        rows: of every record that could be used: its description, its scores, `file`, `folder` and its `place`.
    """
    rows = sorted(rows, key=lambda row: (row["place"], row["status"] not in contract.ENDED, row["file"]))
    repeated = _repeated(rows)
    _first_places(rows)
    trials = [row for row in rows if row["transfer"] is not None]
    runs = [row for row in rows if row["transfer"] is None]
    common = name_rows(trials)
    name_rows(runs)
    kept = [row for row in rows if id(row) not in repeated]
    needed = {_run_of(row) for row in kept if row["transfer"] is not None and row["owner"] == row["place"]}
    counted, unmerged = [], []
    settings = {_setting(row) for row in kept if row["owner"] == row["place"]}
    rates = {(*_setting(row), row["rate"], row["role"]) for row in kept if row["owner"] == row["place"]}
    for row in kept:
        if row["owner"] == row["place"] and (row["transfer"] is not None or row["first"] == row["place"]):
            counted.append(row)
        elif row["transfer"] is None and _run_of(row) in needed:
            counted.append(row | {"method": f"{row['method']} ({row['folder']})"})
        else:
            lacking = "setting" if _setting(row) not in settings else "rate"
            unmerged.append(_unmerged(row, "seed" if (*_setting(row), row["rate"], row["role"]) in rates else lacking))
    repeats = [_repeat(row, repeated[id(row)]) for row in rows if id(row) in repeated]
    return Merged(counted, repeats, unmerged, common)


def _repeated(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Returns the id of each row that repeats a task -> the row that is kept of it."""
    found: dict[int, dict[str, Any]] = {}
    known: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        same = known[tuple(row[name] for name in _TASK)]
        kept = next((other for other in same if _agree(row, other)), None)
        if kept is None:
            same.append(row)
        else:
            found[id(row)] = kept
    return found


def _first_places(rows: list[dict[str, Any]]) -> None:
    """Sets `first` of each row: the place of the first folder with a record of its pre-training, trials included."""
    found: dict[tuple[Any, ...], int] = {}
    names = [(row["scenario"], row["parts"].base, row["parts"].bindings) for row in rows]
    for name, row in zip(names, rows):
        row["first"] = found.setdefault(name, row["place"])  # rows are in the order of their places


def _agree(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return all(first[name] == second[name] or not first[name] or not second[name] for name in _NOT_IN_ALL)


def _run_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["folder"], row["scenario"], row["config_hash"], row["pretrain_seed"]


def _setting(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["scenario"], row["fingerprint"], row["method"], row["config_hash"], row["setting"]


def _repeat(row: Mapping[str, Any], kept: Mapping[str, Any]) -> Repeat:
    score = "validation" if row["transfer"] is None else "held_out"
    known = row[score] is not None and kept[score] is not None
    return Repeat(
        method=kept["method"],
        scenario=row["scenario"],
        fingerprint=row["fingerprint"],
        file=row["file"],
        kept=kept["file"],
        difference=abs(row[score] - kept[score]) if known else math.nan,
        is_copy=all(row[name] == kept[name] for name in _SCORES),
        status=row["status"],
    )


def _unmerged(row: Mapping[str, Any], lacking: str) -> Unmerged:
    return Unmerged(
        method=row["method"],
        scenario=row["scenario"],
        fingerprint=row["fingerprint"],
        folder=row["folder"],
        setting=row["setting"],
        rate=row["rate"],
        seed=row["pretrain_seed"],
        lacking=lacking,
    )
