"""Whether a submission can be ranked, in words."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table, tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.submissions.archives import unpack
from zapbench.text import one_line

LEAST_VALUES = 4
"""Different values that a curve must have before another one like it is suspicious."""

MOST_METHODS = 200
"""Of a submission: every two of them are compared."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        problems: why it cannot be ranked, a line each; none where it can.
        methods: the rows that it would make.
        files: the event files that could be used.
    """

    problems: list[str]
    methods: list[str]
    files: int

    @property
    def sentence(self) -> str:
        """The verdict in a line."""
        if self.problems:
            return f"cannot be ranked: {len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        return f"can be ranked: {', '.join(map(one_line, self.methods))} ({self.files} event files)"


def check(path: Path, beside: Logs | None = None) -> Verdict:
    """Says whether a zip of event files, which is untrusted, can be ranked.

    Args:
        path: the zip. It is unpacked into a temporary folder, which is deleted afterwards.
        beside: logs that it would join, for results that are in both.

    Raises:
        ValueError: it is not a zip that can be read to its end.
    """
    with tempfile.TemporaryDirectory(prefix="zapbench-") as folder:
        problems = unpack(path, Path(folder))
        try:
            logs = load(Path(folder))
        except ValueError:
            return Verdict([*problems, "no event files in it"], [], 0)
    problems += logs.problems
    problems += [one_line(line) for line in (*_on_logs(logs, beside), *_on_tables(logs))]
    return Verdict(problems, sorted(set(logs.trials["method"])), len(logs.trials) + len(logs.runs))


def _on_logs(logs: Logs, beside: Logs | None) -> Iterator[str]:
    if logs.trials.empty:
        yield "no trial in it"
    open_ = (contract.FAILED, contract.UNFINISHED)
    for row in pd.concat([logs.runs, logs.trials])[["file", "status", "reason"]].to_dict("records"):
        if row["status"] in open_:
            yield f"{row['file']}: {row['status']}{': ' if row['reason'] else ''}{row['reason']}"
    lasts: dict[Any, int] = logs.curves.groupby("trial")["step"].max().to_dict()
    for place, trial in logs.trials.iterrows():
        yield from _on_steps(trial, lasts.get(place), logs.facts[trial["fingerprint"]])
    known = dict(_results(beside)) if beside is not None else {}
    seen: dict[str, str] = {}
    for result, file in _results(logs):
        if result in known:
            yield f"{file}: its curve is that of {known[result]} in the logs beside it, to the last digit"
        elif result in seen:
            yield f"{file}: its curve is that of {seen[result]}, to the last digit"
        seen.setdefault(result, file)


def _on_steps(trial: pd.Series, last: int | None, facts: Mapping[str, Any]) -> Iterator[str]:
    """Says where a trial has more steps than its protocol, or, finished, fewer: an early end scores higher."""
    if not all(isinstance(facts[name], int) and facts[name] > 0 for name in _COUNTED):
        yield f"{trial['file']}: a fingerprint whose counts are not whole numbers above 0"
        return
    expected = facts["classes_per_trial"]
    if facts["protocol"] != "sequential":
        images = expected * facts["images_trained_on"]
        expected = facts["passes"] * -(-images // facts["images_per_step"])
    reported_ = trial["role"] == contract.REPORT
    if trial["status"] == contract.FINISHED and reported_ and last != expected:
        yield f"{trial['file']}: ends at step {last or 0}; its protocol has {expected}"
    elif trial["status"] == contract.DIVERGED and reported_ and last is not None and last > expected:
        yield f"{trial['file']}: goes to step {last}; its protocol has {expected}"
    if trial["outputs"] < facts["classes_per_trial"]:
        yield f"{trial['file']}: {trial['outputs']} outputs for {facts['classes_per_trial']} classes"


_COUNTED = ("classes_per_trial", "images_trained_on", "images_held_out", "passes", "images_per_step")


def _results(logs: Logs) -> Iterator[tuple[str, str]]:
    """Yields a hash of each trial's curves, and its file; curves that hardly move may well be equal."""
    points = logs.curves.to_numpy(dtype=np.float64)
    starts = np.searchsorted(points[:, 0], np.arange(len(logs.trials) + 1))
    for place, file in enumerate(logs.trials["file"]):
        own = np.ascontiguousarray(points[starts[place] : starts[place + 1], 1:])
        if len(np.unique(own[:, 1])) >= LEAST_VALUES:
            yield hashlib.sha256(own.tobytes()).hexdigest(), str(file)


def _on_tables(logs: Logs) -> Iterator[str]:
    if (count := logs.trials["method"].nunique()) > MOST_METHODS:
        yield f"{count} methods; a submission has {MOST_METHODS} at most"
        return
    for table in tables(logs):
        trials = trials_of(logs, table)
        for method in sorted(set(trials["method"]) - set(table.choices)):
            yield f"{method}: no finished selection trial to select its rate on"
        for method in sorted(set(table.choices) - {row.method for row in table.rows}):
            yield f"{method}: no reported trial at its selected setting"
        yield from _on_seeds(table, {row.method: reported(trials, table.choices[row.method]) for row in table.rows})


def _on_seeds(table: Table, chosen: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Says which pre-training seeds and trials one method of a table lacks, or another has."""
    everyone = set().union(*(set(rows["pretrain_seed"]) for rows in chosen.values()))
    draws = set().union(*(set(rows["transfer_seed"]) for rows in chosen.values()))
    draws |= set(range(len(draws)))  # numbered from 0: no draw is omitted because of its score
    for method, rows in chosen.items():
        have = set(rows["pretrain_seed"])
        if len(have) < compare.LEAST_SEEDS:
            yield f"{method}: {len(have)} pre-training seed(s) on {table.title}; a rank takes {compare.LEAST_SEEDS}"
        if missing := everyone - have:
            yield f"{method}: lacks pre-training seed {_numbers(missing)}, which another method has"
        for seed, own in rows.groupby("pretrain_seed"):
            if missing := draws - set(own["transfer_seed"]):
                yield f"{method}: seed {seed} has {len(own)} trials, and lacks trial {_numbers(missing)}"


def _numbers(values: set[Any]) -> str:
    shown = sorted(int(value) for value in values)
    return ", ".join(map(str, shown[:10])) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
