"""Records of event files -> tables: one row a trial, one row a run, and what is not in them, with the reason."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zapbench.leaderboard.read.merge import Repeat, Unmerged, merge
from zapbench.leaderboard.read.names import parts_of
from zapbench.leaderboard.read.parse import NO_DESCRIPTION, OTHER_PATTERN
from zapbench.leaderboard.read.trial_metrics import METRICS
from zapbench.text import one_line

PLASTICITY = ("effective_rank", "dormant_units", "weight_norm")
TRIAL_COLUMNS = (
    "file", "folder", "place", "scenario", "protocol", "method", "strategy", "learner", "transfer", "fingerprint",
    "config_hash", "weights", "candidate", "setting", "rate", "role", "pretrain_seed", "transfer_seed",
    "settings_tried", "outputs", "common_classes", "draws", "encoder", "input_size", "status", "reason", "held_out",
    "held_out_seen", "trained_on", "forgetting", "area", "seconds", "peak_memory", "last_step", "class_mean",
    "held_out_loss", "trained_on_loss", "measured", "cadence", *METRICS,
)  # fmt: skip
RUN_COLUMNS = (
    "file", "folder", "place", "scenario", "method", "config_hash", "weights", "pretrain_seed", "encoder", "input_size",
    "status", "reason", "threads", "validation", "updates", "images_seen", "gradient_steps", "flops", "seconds",
    "peak_memory", "parameters", "device", *PLASTICITY,
)  # fmt: skip
_NUMBERS = (
    "held_out", "held_out_seen", "trained_on", "forgetting", "area", "seconds", "peak_memory", "validation",
    "images_seen", "gradient_steps", "flops", "parameters", "common_classes", "class_mean",
    "held_out_loss", "trained_on_loss", *METRICS, *PLASTICITY,
)  # fmt: skip


Record = tuple[str, str, dict[str, Any], npt.NDArray[np.float64]]
"""Of a file: the name of its folder, its path, its summary, and its curves `(points, 4)`."""


@dataclass
class Logs:
    """One folder of logs, or several.

    Attributes:
        trials: one row a trial: identity, status, final scores, and `chance`, the accuracy of guessing.
        runs: one row a pre-trained model: identity, status, validation accuracy, cost.
        problems: one line a file that could not be used.
        facts: fingerprint -> the fields that it was made of.
        common: scenario -> undeclared bindings that all its methods share.
        repeats: records of tasks that an earlier record is kept of.
        unmerged: records of a method that belongs to an earlier folder, of tasks that this folder lacks.
        folders: name -> folder, in the order given; the only one has an empty name.
    """

    trials: pd.DataFrame
    runs: pd.DataFrame
    problems: list[str]
    facts: dict[str, dict[str, Any]]
    common: dict[str, tuple[str, ...]] = field(default_factory=dict)
    repeats: list[Repeat] = field(default_factory=list)
    unmerged: list[Unmerged] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    _points: list[npt.NDArray[np.float64]] = field(default_factory=list, repr=False)

    def path(self, file: str) -> Path:
        """Returns where a file lies, from its name in a column `file`."""
        if "" in self.folders:
            return self.folders[""] / file
        folder, _, below = file.partition("/")
        return self.folders[folder] / below

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row a trial and point: trial (its row in `trials`), step, held_out, trained_on, forgetting."""
        columns = ["step", "held_out", "trained_on", "forgetting"]
        if not self._points:
            return pd.DataFrame(columns=["trial", *columns])
        table = pd.DataFrame(np.concatenate(self._points), columns=columns)
        table.insert(0, "trial", np.repeat(np.arange(len(self._points)), [len(p) for p in self._points]))
        return table.astype({"step": int})


def tabulate(records: Iterable[Record], folders: Mapping[str, Path]) -> Logs:
    """Turns records into tables; `merge` says which of them count where several are of one task or method.

    Args:
        records: of each file the name of its folder, its path, its summary and its curves.
        folders: name -> folder, in their order.
    """
    places = {name: place for place, name in enumerate(folders)}
    rows: list[dict[str, Any]] = []
    unusable: list[tuple[str, str]] = []
    for folder, name, summary, points in records:
        about = summary["about"]
        if summary["problem"] or about is None:
            unusable.append((name, summary["problem"]))
        else:
            own = {"folder": folder, "place": places[folder], "points": points}
            rows.append(_row(name, summary, about) | own)
    merged = merge(rows)
    trials = [row for row in merged.rows if row["transfer"] is not None]
    runs = [row for row in merged.rows if row["transfer"] is None]
    facts = {row["fingerprint"]: row["fingerprint_fields"] for row in reversed(trials)}
    table = _frame(trials, TRIAL_COLUMNS)
    table["chance"] = _chance(trials)
    return Logs(
        trials=table,
        runs=_frame(runs, RUN_COLUMNS),
        problems=_problems(unusable),
        facts=facts,
        common=merged.common,
        repeats=merged.repeats,
        unmerged=merged.unmerged,
        folders=dict(folders),
        _points=[row["points"] for row in trials],
    )


def _problems(unusable: Sequence[tuple[str, str]]) -> list[str]:
    """Returns a line for each file that could not be used; files that are no run's for the same reason share one."""
    others: dict[str, list[str]] = {}
    for name, reason in unusable:
        if reason == NO_DESCRIPTION or reason.startswith(OTHER_PATTERN):
            others.setdefault(reason, []).append(name)
    lines = []
    for name, reason in unusable:
        alike = others.get(reason, [])
        if len(alike) < 3:
            lines.append(one_line(f"{name}: {reason}"))
        elif name == alike[0]:
            lines.append(one_line(f"{name} and {len(alike) - 1} others: {reason}"))
    return lines


def _chance(trials: Sequence[Mapping[str, Any]]) -> list[float]:
    """Returns the accuracy of guessing of each trial: one over the outputs that its fingerprint has; 0 if unknown.

    They are the most that a trial of the first folder with this fingerprint has. So a trial cannot raise its own
    chance, which is its score where it diverged, and a later folder changes that of no other trial.
    """
    first: dict[str, tuple[int, int]] = {}
    for row in trials:
        known = (-row["place"], row["outputs"])
        first[row["fingerprint"]] = max(known, first.get(row["fingerprint"], known))
    outputs = [first[row["fingerprint"]][1] for row in trials]
    return [1.0 / count if count else 0.0 for count in outputs]


def _frame(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.astype({name: float for name in _NUMBERS if name in columns})


def _row(name: str, summary: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    scores = {key: value for key, value in summary.items() if key not in ("problem", "about")}
    tuned = sorted({**about["setting"], **about["transfer_setting"]}.items())
    setting = ", ".join(f"{key}={value}" for key, value in tuned)
    candidate = f"{about['config_hash']}/{about['transfer_hash']}"
    return {**about, **scores, "file": name, "parts": parts_of(about), "candidate": candidate, "setting": setting}
