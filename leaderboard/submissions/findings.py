"""What is wrong with the logs of a submission, a line each: incomplete, impossible, or chosen by their scores."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table, tables
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.submissions.beside import trials_of_each_seed
from zapbench.text import some_of

LEAST_POINTS = 5
"""Points from which a curve that never moves is suspicious."""

MOST_METHODS = 200
"""Of a submission: every two of them are compared."""

FINEST = 100_000
"""Images that an accuracy is a share of, beyond which a float32 cannot say of how many."""

_COUNTED = ("classes_per_trial", "images_trained_on", "images_held_out", "passes", "images_per_step")


def on_trials(logs: Logs) -> Iterator[str]:
    """Says which tasks did not end, and which trials contradict their own protocol."""
    if logs.trials.empty:
        yield "no trial in it"
    open_ = (contract.FAILED, contract.UNFINISHED)
    for row in pd.concat([logs.runs, logs.trials])[["file", "status", "reason"]].to_dict("records"):
        if row["status"] in open_:
            yield f"{row['file']}: {row['status']}{': ' if row['reason'] else ''}{row['reason']}"
    curves = {str(place): curve for place, curve in logs.curves.groupby("trial")}
    for place, trial in logs.trials.iterrows():
        if not isinstance(trial["protocol"], str) or not trial["protocol"]:
            yield f"{trial['file']}: states no protocol"
        facts = logs.facts[trial["fingerprint"]]
        if not all(isinstance(facts[name], int) and facts[name] > 0 for name in _COUNTED):
            yield f"{trial['file']}: a fingerprint whose counts are not integers above 0"
            continue
        curve = curves.get(str(place), logs.curves.iloc[:0])
        yield from _on_steps(trial, int(curve["step"].max()) if len(curve) else 0, facts)
        yield from _on_values(trial, curve, facts)


def _on_steps(trial: pd.Series, last: int, facts: Mapping[str, Any]) -> Iterator[str]:
    """Says where a trial has more steps than its protocol, or, finished, fewer: an early end scores higher."""
    expected = facts["classes_per_trial"]
    if facts["protocol"] != "sequential":
        images = expected * facts["images_trained_on"]
        expected = facts["passes"] * -(-images // facts["images_per_step"])
    of_report = trial["role"] == contract.REPORT
    if trial["status"] == contract.FINISHED and of_report and last != expected:
        yield f"{trial['file']}: ends at step {last}; its protocol has {expected}"
    elif trial["status"] == contract.DIVERGED and of_report and last > expected:
        yield f"{trial['file']}: goes to step {last}; its protocol has {expected}"


def _on_values(trial: pd.Series, curve: pd.DataFrame, facts: Mapping[str, Any]) -> Iterator[str]:
    """Says where accuracies are no share of the images that they are measured on, or were not measured at all."""
    values = curve["held_out"].to_numpy(dtype=float)
    sequential = facts["protocol"] == "sequential"
    classes = curve["step"].to_numpy(dtype=float) if sequential else np.full(len(values), facts["classes_per_trial"])
    images = classes * facts["images_held_out"]
    right = values * images
    wrong = (np.abs(right - right.round()) > 0.02) & (images <= FINEST)
    if wrong.any():
        step = int(curve["step"].to_numpy()[wrong][0])
        yield f"{trial['file']}: at step {step} its accuracy is no share of {int(images[wrong][0])} images"
    if len(values) >= LEAST_POINTS and np.ptp(values) == 0 and values[0] > 2 * trial["chance"]:
        yield f"{trial['file']}: its curve never moves, above chance"
    ended = trial["status"] == contract.FINISHED and len(values) > 0
    if ended and pd.notna(trial["class_mean"]) and abs(trial["class_mean"] - values[-1]) > 1e-3:
        yield (
            f"{trial['file']}: its final accuracy is {100 * values[-1]:.1f}%, "
            f"and the mean of its classes {100 * trial['class_mean']:.1f}%"
        )


def on_repeats(logs: Logs) -> Iterator[str]:
    """Says which files are of a task that another file records, too."""
    for repeat in logs.repeats:
        kind = "a copy of" if repeat.is_copy else "the same task as"
        yield f"{repeat.file}: {kind} {repeat.kept}{'' if repeat.is_copy else ', with other scores'}"


def on_runs(logs: Logs) -> Iterator[str]:
    """Says which trials have no record of the pre-training that they start from."""
    key = ["scenario", "config_hash", "pretrain_seed"]
    known = set(logs.runs[key].itertuples(index=False, name=None))
    missing: dict[str, set[int]] = {}
    for row in logs.trials[["method", *key]].drop_duplicates().itertuples(index=False, name=None):
        if row[1:] not in known:
            missing.setdefault(row[0], set()).add(row[3])
    for method, seeds in sorted(missing.items()):
        yield f"{method}: no record of its pre-training with seed {_numbers(seeds)}"


def on_tables(logs: Logs, beside: Logs | None) -> Iterator[str]:
    """Says what its rows lack: selection trials, seeds, trials."""
    if (count := logs.trials["method"].nunique()) > MOST_METHODS:
        yield f"{count} methods; a submission has {MOST_METHODS} at most"
        return
    others = trials_of_each_seed(beside) if beside is not None else {}
    for table in tables(logs):
        trials = trials_of(logs, table)
        for method in sorted(set(trials["method"]) - set(table.choices)):
            yield f"{method}: no finished selection trial to select its rate on"
        for method in sorted(set(table.choices) - {row.method for row in table.rows}):
            yield f"{method}: no reported trial at its selected setting"
        yield from _on_roles(trials)
        chosen = {row.method: reported(trials, table.choices[row.method]) for row in table.rows}
        yield from _on_seeds(table, chosen, others.get(table.fingerprint, set()))


def _on_roles(trials: pd.DataFrame) -> Iterator[str]:
    """Says which reported settings have no selection trial: omitting those of a bad one decides the selection."""
    for method, rows in trials.groupby("method", sort=True):
        tried = {role: set(own.itertuples(index=False, name=None)) for role, own in _candidates(rows)}
        select, report = (tried.get(role, set()) for role in (contract.SELECT, contract.REPORT))
        if select and (missing := report - select):
            rates = ", ".join(f"{rate:g}" for rate in sorted({float(rate) for _, rate in missing}))
            yield f"{method}: reported trials at rate {rates} of a setting without a selection trial at that rate"


def _candidates(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for role, own in rows.groupby("role"):
        yield str(role), own[["candidate", "rate"]]


def _on_seeds(table: Table, chosen: Mapping[str, pd.DataFrame], others: set[int]) -> Iterator[str]:
    """Says which pre-training seeds and trials one method of a table lacks, or another has."""
    everyone = set().union(*(set(rows["pretrain_seed"]) for rows in chosen.values()))
    draws = set().union(others, *(set(rows["transfer_seed"]) for rows in chosen.values()))
    draws |= set(range(len(draws)))  # numbered from 0: no draw is omitted because of its score
    for method, rows in chosen.items():
        have = set(rows["pretrain_seed"])
        if len(have) < compare.LEAST_SEEDS:
            yield f"{method}: {len(have)} pre-training seed(s) on {table.title}; a rank takes {compare.LEAST_SEEDS}"
        if missing := everyone - have:
            yield f"{method}: lacks pre-training seed {_numbers(missing)}, which another method has"
        if missing := set(range(len(have))) - have:
            yield f"{method}: lacks pre-training seed {_numbers(missing)}: seeds are numbered from 0"
        for seed, own in rows.groupby("pretrain_seed"):
            if missing := draws - set(own["transfer_seed"]):
                yield f"{method}: seed {seed} has {len(own)} trials, and lacks trial {_numbers(missing)}"


def _numbers(values: set[Any]) -> str:
    return some_of([str(int(value)) for value in sorted(values)])
