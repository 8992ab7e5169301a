"""A submission beside the logs that it would join: it adds methods, and changes nothing that is there."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import some_of

_TASK = ("fingerprint", "config_hash", "pretrain_seed", "transfer", "rate", "role", "transfer_seed")
_FACTS = (
    ("outputs", "outputs of the head"),
    ("draws", "draws"),
    ("scenario", "scenario"),
    ("protocol", "protocol"),
    ("common_classes", "share of the classes of selection trials that reported trials draw, too"),
)
"""What records of one fingerprint state alike: column, and what it is called."""
_SETTING = ("config_hash", "transfer", "rate", "role")


def on_methods(logs: Logs, beside: Logs) -> Iterator[str]:
    """Says which methods of a submission have the name of another beside it, or add seeds or trials to it."""
    if set(logs.trials["method"]) <= set(beside.trials["method"]):
        yield "adds no method: all of its methods are in the logs beside it already"
    for title, method, own, theirs in _shared(logs, beside):
        if set(own["config_hash"]).isdisjoint(theirs["config_hash"]):
            yield (
                f"{method}: is in the logs beside it already ({title}), with another configuration; a submission "
                "needs a name of its own"
            )
            continue
        known = _keys(theirs, _TASK)
        settings = _keys(theirs, _SETTING)
        added = [
            row for row in own.to_dict("records") if _key(row, _SETTING) in settings and _key(row, _TASK) not in known
        ]
        if added:
            seeds = sorted({row["pretrain_seed"] for row in added} - set(theirs["pretrain_seed"]))
            words = f"pre-training seeds {some_of(map(str, seeds))}" if seeds else f"{len(added)} trials"
            yield f"{method}: is in the logs beside it already ({title}), and adds {words}; a submission changes no row"
    yield from _on_runs(logs, beside)


def _on_runs(logs: Logs, beside: Logs) -> Iterator[str]:
    """Says which pre-trainings would be added to a method that is there, and are needed by no other method."""
    of_others = logs.trials[~logs.trials["method"].isin(set(beside.trials["method"]))]
    needed = _keys(of_others, ("scenario", "config_hash", "pretrain_seed"))
    names = _keys(beside.runs, ("scenario", "method"))
    there = _keys(beside.runs, ("scenario", "config_hash", "pretrain_seed"))
    for run in logs.runs.to_dict("records"):
        task = _key(run, ("scenario", "config_hash", "pretrain_seed"))
        if _key(run, ("scenario", "method")) in names and task not in there | needed:
            seed = run["pretrain_seed"]
            yield f"{run['method']}: pre-training of seed {seed} is added to a method in the logs beside it"


def on_repeats(logs: Logs, beside: Logs) -> Iterator[str]:
    """Says how far a submission's records of tasks of the logs beside it are from theirs, and what is not merged."""
    for title, method, own, theirs in _shared(logs, beside):
        known = {_key(row, _TASK): row["held_out"] for row in theirs.to_dict("records")}
        again = {_key(row, _TASK): row["held_out"] for row in own.to_dict("records")}
        apart = [100 * abs(again[task] - known[task]) for task in again if task in known]
        apart = [distance for distance in apart if not math.isnan(distance)]
        if not apart:
            continue
        other = _keys(own, _SETTING) - _keys(theirs, _SETTING)
        count = sum(_key(row, _SETTING) in other for row in own.to_dict("records"))
        more = f"; {count} more, at settings or rates that it lacks, are not merged" if count else ""
        yield (
            f"{method}: {len(apart)} trials are in the logs beside it already ({title}), and are not counted again; "
            f"they are {sum(apart) / len(apart):.2f} points apart on average, {max(apart):.2f} at most{more}"
        )


def _shared(logs: Logs, beside: Logs) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Yields title and name of each row that both have, and the trials of either."""
    theirs = dict(list(beside.trials.groupby(["fingerprint", "method"])))
    for (fingerprint, method), own in logs.trials.groupby(["fingerprint", "method"], sort=True):
        if (fingerprint, method) in theirs:
            title = f"{own['scenario'].iloc[0]}: {own['protocol'].iloc[0]}"
            yield title, str(method), own, theirs[fingerprint, method]


def _key(row: Mapping[Any, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _keys(rows: pd.DataFrame, names: tuple[str, ...]) -> set[tuple[Any, ...]]:
    return {_key(row, names) for row in rows.to_dict("records")}


def on_facts(logs: Logs, beside: Logs) -> Iterator[str]:
    """Says where a submission states other facts of a fingerprint than the logs beside it, or has fewer trials."""
    for column, what in _FACTS:
        theirs: Mapping[Any, set[Any]] = beside.trials.groupby("fingerprint")[column].agg(set).to_dict()
        for (fingerprint, method), own in logs.trials.groupby(["fingerprint", "method"], sort=True):
            if wrong := set(own[column]) - theirs.get(fingerprint, set(own[column])):
                said, known = (some_of(sorted(map(str, values))) for values in (wrong, theirs[fingerprint]))
                yield f"{method}: {what} {said}; the logs beside it have {known}"


def trials_of_each_seed(beside: Logs) -> dict[str, set[int]]:
    """Returns fingerprint -> the reported trials that every pre-training seed of some method beside has."""
    found: dict[str, set[int]] = {}
    reported = beside.trials[beside.trials["role"] == contract.REPORT]
    for (fingerprint, _), own in reported.groupby(["fingerprint", "method"]):
        of_seeds = [set(map(int, trials)) for _, trials in own.groupby("pretrain_seed")["transfer_seed"]]
        found.setdefault(str(fingerprint), set()).update(set.intersection(*of_seeds))
    return found
