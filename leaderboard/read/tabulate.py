"""Records of event files -> tables: one row a trial, one row a run, and what could not be used, with the reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.names import name_rows, parts_of
from zapbench.text import one_line

TRIAL_COLUMNS = (
    "file", "scenario", "protocol", "method", "strategy", "learner", "transfer", "fingerprint", "config_hash",
    "candidate", "setting", "rate", "role", "pretrain_seed", "transfer_seed", "settings_tried", "outputs",
    "common_classes", "draws", "encoder", "input_size", "status", "reason", "held_out", "held_out_seen",
    "trained_on", "forgetting", "area", "seconds", "peak_memory", "last_step", "class_mean",
)  # fmt: skip
RUN_COLUMNS = (
    "file", "scenario", "method", "config_hash", "pretrain_seed", "encoder", "input_size", "status", "reason",
    "validation", "updates", "images_seen", "gradient_steps", "seconds", "peak_memory", "parameters",
)  # fmt: skip
_NUMBERS = (
    "held_out", "held_out_seen", "trained_on", "forgetting", "area", "seconds", "peak_memory", "validation",
    "images_seen", "gradient_steps", "parameters", "common_classes", "class_mean",
)  # fmt: skip


@dataclass
class Logs:
    """A folder of logs.

    Attributes:
        trials: one row a trial: identity, status, final scores, and `chance`, the accuracy of guessing.
        runs: one row a pre-trained model: identity, status, validation accuracy, cost.
        problems: one line a file that could not be used.
        facts: fingerprint -> the fields that it was made of.
        common: scenario -> undeclared bindings that all its methods share.
    """

    trials: pd.DataFrame
    runs: pd.DataFrame
    problems: list[str]
    facts: dict[str, dict[str, Any]]
    common: dict[str, tuple[str, ...]] = field(default_factory=dict)
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


def tabulate(records: Iterable[tuple[str, dict[str, Any], npt.NDArray[np.float64]]]) -> Logs:
    """Turns records into tables; `file` columns are paths below the folder.

    Of two records of one trial or run the one that ended is kept, else the first by path; the other is named in the
    problems: as a copy, or as a contradiction where they differ in a score.

    Args:
        records: of each file its path, its summary and its curves.
    """
    ended = (contract.FINISHED, contract.DIVERGED)
    records = sorted(records, key=lambda record: (record[1]["status"] not in ended, record[0]))
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
    common = name_rows(trials)
    name_rows(runs)
    table = _frame(trials, TRIAL_COLUMNS)
    table["chance"] = _chance(table)
    return Logs(table, _frame(runs, RUN_COLUMNS), problems, facts, common, curves)


def _chance(trials: pd.DataFrame) -> "pd.Series[float]":
    """Returns the accuracy of guessing: one over the most outputs that any trial of a fingerprint has; 0 if unknown.

    A trial cannot raise its own chance, which is its score where it diverged.
    """
    outputs = trials.groupby("fingerprint")["outputs"].transform("max").astype(float)
    return (1.0 / outputs).where(outputs > 0, 0.0)


def _frame(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.astype({name: float for name in _NUMBERS if name in columns})


def _row(name: str, summary: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    scores = {key: value for key, value in summary.items() if key not in ("problem", "about")}
    tuned = sorted({**about["setting"], **about["transfer_setting"]}.items())
    setting = ", ".join(f"{key}={value}" for key, value in tuned)
    candidate = f"{about['config_hash']}/{about['transfer_hash']}"
    return {**about, **scores, "file": name, "parts": parts_of(about), "candidate": candidate, "setting": setting}


def _identity(row: dict[str, Any], about: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "scenario", "config_hash", "transfer_hash", "pretrain_seed", "transfer", "fingerprint", "rate", "role",
        "transfer_seed", "method_hash",
    )  # fmt: skip
    return (row["parts"], *(about[name] for name in names))


def _twice(first: dict[str, Any], second: dict[str, Any]) -> str:
    scores = ("status", "held_out", "trained_on", "forgetting", "area", "validation")
    if all(first[name] == second[name] for name in scores):
        return f"a copy of {first['file']}"
    if second["status"] == contract.UNFINISHED:
        return f"an unfinished copy of {first['file']}"
    return f"the same task as {first['file']}, with other scores"
