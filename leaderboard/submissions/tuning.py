"""How many settings a method says were tried, beside what the logs show: trying more is an advantage."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import some_of


def on_tried(logs: Logs) -> Iterator[str]:
    """Says which methods state fewer settings than the submission holds."""
    for (_, method), own in logs.trials.groupby(["fingerprint", "method"], sort=True):
        settings = own["candidate"].nunique()
        stated = int(own["settings_tried"].max())
        if stated < settings:
            yield f"{method}: says {stated} settings tried, and holds {settings}"


def doubts_on_tried(logs: Logs, beside: Logs | None) -> Iterator[str]:
    """Says where more settings may have been tried: methods that differ in bindings, configurations tuned before."""
    yield from _on_variants(logs)
    if beside is not None:
        yield from _on_tuned_before(logs, beside)


def _on_variants(logs: Logs) -> Iterator[str]:
    """A sweep by `-p` makes a method of each setting, and each says that one was tried."""
    for (_, strategy, _), own in logs.trials.groupby(["fingerprint", "strategy", "transfer"], sort=True):
        names = sorted(set(own[own["method"].str.contains("[", regex=False)]["method"]))
        stated = own[own["method"].isin(names)]["settings_tried"].max() if names else 0
        if len(names) > 1 and stated < len(names):
            yield (
                f"{strategy}: {len(names)} methods differ in bindings alone ({some_of(names, 3)}); if one is presented "
                f"as the best of them, {len(names)} settings were tried"
            )


def _on_tuned_before(logs: Logs, beside: Logs) -> Iterator[str]:
    """The same configuration was selected from several in the logs beside it."""
    theirs = _most_tried(beside.trials)
    for method, own in logs.trials.groupby("method", sort=True):
        for key, tried in sorted(_most_tried(own).items()):
            known = theirs.get(key, 0)
            if known > tried:
                yield (
                    f"{method}: says {tried} settings tried; in the logs beside it, its configuration of pre-training "
                    f"is one of {known}"
                )
                break


def _most_tried(trials: pd.DataFrame) -> dict[tuple[Any, ...], int]:
    """Returns scenario and configuration -> the most settings that are said, or seen, to have been tried with it."""
    found: dict[tuple[Any, ...], int] = {}
    for (scenario, _), own in trials.groupby(["scenario", "method"], sort=True):
        count = max(int(own["settings_tried"].max()), own["config_hash"].nunique())
        for config in set(own["config_hash"]):
            key = (scenario, config)
            found[key] = max(found.get(key, 0), count)
    return found
