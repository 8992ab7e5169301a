"""What a reader of a table must know, in words, generated from the logs."""

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import Pair
from zapbench.leaderboard.decide.select import Chosen


def on_runs(runs: pd.DataFrame) -> list[str]:
    """Says which pre-trainings did not finish, and why."""
    notes = []
    for run in runs[runs["status"] != contract.FINISHED].sort_values("file").to_dict("records"):
        reason = f": {run['reason']}" if run["reason"] else ""
        notes.append(f"{run['method']}: pre-training of seed {run['pretrain_seed']} {run['status']}{reason}")
    return notes


def on_status(trials: pd.DataFrame) -> list[str]:
    """Says how many trials did not finish, and why."""
    notes = []
    for status in (contract.DIVERGED, contract.FAILED, contract.UNFINISHED):
        for (method, role), rows in trials[trials["status"] == status].groupby(["method", "role"], sort=True):
            reasons = sorted({reason for reason in rows["reason"] if reason})
            shown = f": {'; '.join(reasons[:2])}" if reasons else ""
            more = f" and {len(reasons) - 2} other reasons" if len(reasons) > 2 else ""
            notes.append(f"{method}: {len(rows)} {role} trial(s) {status}{shown}{more}")
    return notes


def on_choice(method: str, rows: pd.DataFrame, choice: Chosen, trials: pd.DataFrame) -> list[str]:
    """Says which seeds lack reported trials at the chosen setting, and what was chosen at the edge of its grid.

    Args:
        method: the row's name.
        rows: its reported trials.
        choice: what was chosen, and among what.
        trials: every trial of the table.
    """
    notes = []
    everyone = set(trials[trials["method"] == method]["pretrain_seed"])
    if missing := sorted(everyone - set(rows["pretrain_seed"])):
        seeds = ", ".join(str(seed) for seed in missing)
        notes.append(f"{method}: no reported trial of pre-training seed {seeds} at its chosen setting")
    grids = {"rate": (choice.rate, set(choice.grid["rate"]))}
    settings = [_numbers(text) for text in choice.grid["setting"].unique()]
    for name, value in _numbers(choice.setting).items():
        grids[name] = (value, {setting[name] for setting in settings if name in setting})
    for name, (value, grid) in grids.items():
        if len(grid) > 1 and value in (min(grid), max(grid)):
            notes.append(
                f"{method}: its {name} {value:g} is at the edge of the grid {min(grid):g} to {max(grid):g}: extend it"
            )
    return notes


def _numbers(setting: str) -> dict[str, float]:
    """Returns the numbers of a setting in words: `ASB.inner_lr=0.1` -> {"ASB.inner_lr": 0.1}."""
    found = {}
    for part in setting.split(", "):
        name, _, value = part.partition("=")
        with suppress(ValueError):
            found[name] = float(value)
    return found


def on_bound(name: str, means: Mapping[str, list[float]], bounds: Collection[str]) -> str:
    """Says that a method is an upper bound, and which methods of the same pre-training are above it.

    Args:
        name: the bound, `STRATEGY + LEARNER`.
        means: method -> means per seed.
        bounds: all of the table's bounds.
    """
    strategy = name.split(" + ")[0]
    mean = sum(means[name]) / len(means[name])
    rivals = [other for other in means if other.split(" + ")[0] == strategy and other not in bounds]
    above = sorted(other for other in rivals if sum(means[other]) / len(means[other]) > mean)
    words = f"; it bounds nothing here: {', '.join(above)} above it" if above else ""
    return f"{name}: an upper bound, not ranked{words}"


def on_statistics(
    ranked: Mapping[str, list[float]],
    compared: list[Pair],
    papers: Mapping[tuple[str, str], float],
    chosen: Mapping[str, pd.DataFrame],
    validated: Sequence[tuple[float, float]],
    trials: pd.DataFrame,
) -> list[str]:
    """Says what could have been seen, what the paper's test makes of it, and how trials spread.

    Args:
        ranked: method -> means per seed, of the methods that were compared.
        compared: every pair of them.
        papers: the p of the paper's test for each pair.
        chosen: method -> its reported trials.
        validated: validation and transfer accuracy of each method that has both.
        trials: every trial of the table.
    """
    notes = []
    if compared:
        smallest = compare.smallest_difference(ranked)
        notes.append(
            f"A difference of {100 * smallest:.1f} points would have been seen with 80% power. Another method among "
            "them changes ranks and letters: Holm's adjustment is over all pairs."
        )
        called = sum(p < compare.ALPHA for p in papers.values())
        notes.append(
            f"The paper's test (Mann-Whitney U over trials) calls {called} of {len(papers)} pairs different; it takes "
            "trials of one pre-trained model for independent, and rejects too often where seeds spread."
        )
    if chosen:
        whole = pd.concat([rows_.assign(method=name) for name, rows_ in chosen.items()])
        if found := compare.variance_components(whole):
            spreads = ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items())
            notes.append(f"Spread of trials in points (standard deviations, mixed model): {spreads}.")
    if len(validated) > 2:
        tau, p = compare.rank_correlation(*map(list, zip(*validated)))
        exact = "too few methods (or ties) for a p" if math.isnan(p) else f"exact p = {p:.3f}"
        notes.append(
            f"Validation accuracy against transfer accuracy over {len(validated)} methods: tau {tau:.2f}, {exact}."
        )
    if "crossed" in set(trials["draws"]):
        notes.append(
            "Draws are crossed: all pre-training seeds share one set of trials, so intervals cover less than 95% (93, "
            "90 and 83% with 3, 5 and 10 seeds in simulations), and methods are told apart too easily."
        )
    selected = trials[trials["role"] == contract.SELECT]
    if not selected.empty:
        share = float(selected["common_classes"].max())
        notes.append(f"Selection trials share {100 * share:.0f}% of their classes with the reported ones' pool.")
    return notes
