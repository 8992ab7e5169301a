"""A submission beside the logs that it would join: it adds methods, and changes nothing that is there."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from zapbench.leaderboard.read.tabulate import Logs

_RUN = ("scenario", "method", "config_hash", "pretrain_seed")


def on_methods(logs: Logs, beside: Logs) -> Iterator[str]:
    """Says which methods, or pre-trainings, of a submission are there already: they would change others' rows."""
    known = set(zip(beside.trials["fingerprint"], beside.trials["method"]))
    for (fingerprint, method), own in logs.trials.groupby(["fingerprint", "method"], sort=True):
        if (fingerprint, method) in known:
            seeds = set(beside.trials[beside.trials["method"] == method]["pretrain_seed"])
            added = sorted(set(own["pretrain_seed"]) - seeds)
            more = f", and adds pre-training seeds {', '.join(map(str, added))}" if added else ""
            title = f"{own['scenario'].iloc[0]}: {own['protocol'].iloc[0]}"
            yield f"{method}: is in the logs beside it already ({title}){more}; a submission needs a name of its own"
    there = _results(beside.runs)
    names = {identity[:2] for identity in there}
    for identity, result in _results(logs.runs).items():
        if identity in there and there[identity] != result:
            yield f"{identity[1]}: pre-training of seed {identity[3]} is in the logs beside it, with another result"
        elif identity not in there and identity[:2] in names:
            yield f"{identity[1]}: pre-training of seed {identity[3]} is added to a method in the logs beside it"


def _results(runs: pd.DataFrame) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {
        tuple(run[name] for name in _RUN): (run["status"], str(run["validation"])) for run in runs.to_dict("records")
    }


def on_facts(logs: Logs, beside: Logs) -> Iterator[str]:
    """Says where a submission states other facts of a fingerprint than the logs beside it, or has fewer trials."""
    for column, what in (("outputs", "outputs of the head"), ("draws", "draws")):
        theirs: Mapping[Any, set[Any]] = beside.trials.groupby("fingerprint")[column].agg(set).to_dict()
        for (fingerprint, method), own in logs.trials.groupby(["fingerprint", "method"], sort=True):
            if wrong := sorted(set(own[column]) - theirs.get(fingerprint, set(own[column]))):
                known = ", ".join(map(str, sorted(theirs[fingerprint])))
                yield f"{method}: {what} {', '.join(map(str, wrong))}; the logs beside it have {known}"


def trials_of_each_seed(beside: Logs) -> dict[str, set[int]]:
    """Returns fingerprint -> the reported trials that every pre-training seed of some method beside has."""
    found: dict[str, set[int]] = {}
    reported = beside.trials[beside.trials["role"] == "report"]
    for (fingerprint, _, _), own in reported.groupby(["fingerprint", "method", "pretrain_seed"]):
        found.setdefault(str(fingerprint), set()).update(map(int, own["transfer_seed"]))
    return found
