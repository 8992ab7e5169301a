"""What a reader of a table must know, in words, generated from the logs."""

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import Pair
from zapbench.leaderboard.decide.metrics import FINAL, Metric
from zapbench.leaderboard.decide.power import smallest_difference
from zapbench.leaderboard.decide.select import Chosen
from zapbench.leaderboard.decide.variance import variance_components

ROLE_NAMES = {contract.REPORT: "reported", contract.SELECT: "selection"}


def on_runs(runs: pd.DataFrame) -> list[str]:
    """Says which pre-trainings did not finish, and why."""
    notes = []
    for run in runs[runs["status"] != contract.FINISHED].sort_values("file").to_dict("records"):
        reason = f": {run['reason']}" if run["reason"] else ""
        notes.append(f"{run['method']}: pre-training of seed {run['pretrain_seed']} {run['status']}{reason}")
    return notes


def on_status(trials: pd.DataFrame) -> list[str]:
    """Says how many trials did not finish, and why, and what was ignored in those that did."""
    notes = []
    told = trials[(trials["status"] != contract.FINISHED) | (trials["reason"] != "")]
    for status in (contract.DIVERGED, contract.FAILED, contract.UNFINISHED, contract.FINISHED):
        for (method, role), rows in told[told["status"] == status].groupby(["method", "role"], sort=True):
            reasons = sorted({reason for reason in rows["reason"] if reason})
            shown = f": {'; '.join(reasons[:2])}" if reasons else ""
            more = f" and {len(reasons) - 2} other reasons" if len(reasons) > 2 else ""
            notes.append(f"{method}: {_count(len(rows), f'{ROLE_NAMES[str(role)]} trial')} {status}{shown}{more}")
    return notes


def on_choices(
    choices: Mapping[str, Chosen], chosen: Mapping[str, pd.DataFrame], trials: pd.DataFrame, by: str
) -> list[str]:
    """Says which methods could not be selected for, lack reported trials, or are at the boundary of a tuning grid.

    Args:
        choices: the selected setting of each method.
        chosen: method -> its reported trials at that setting, where it has some.
        trials: every trial of the table.
        by: on which trials settings and rates were selected.
    """
    notes = []
    for method, choice in choices.items():
        if method not in chosen:
            setting = f", {choice.setting}" if choice.setting else ""
            notes.append(f"{method}: no reported trial at its selected setting (rate {choice.rate:g}{setting})")
            continue
        everyone = set(trials[trials["method"] == method]["pretrain_seed"])
        if missing := sorted(everyone - set(chosen[method]["pretrain_seed"])):
            seeds = ", ".join(map(str, missing))
            notes.append(f"{method}: no reported trial of pre-training seed {seeds} at its selected setting")
        notes += [*_on_fewer_seeds(choice), *_on_grid(choice)]
    role = ROLE_NAMES[contract.SELECT if by == "select" else contract.REPORT]
    for method in sorted(set(trials["method"]) - set(choices)):
        notes.append(f"{method}: not ranked: no finished {role} trial to select its setting on")
    return notes


def _on_fewer_seeds(choice: Chosen) -> list[str]:
    """Says that settings were tried on fewer seeds than the selected one, and what both scored on those they share."""
    complete = choice.grid.groupby("candidate")["complete"].any()
    fewer = choice.grid[~choice.grid["candidate"].map(complete)]
    if fewer.empty:
        return []
    settings, tried = fewer["candidate"].nunique(), len(complete)
    seeds = ", ".join(map(str, choice.shared_seeds))
    if not seeds:
        return [f"{choice.method}: {settings} of its {tried} settings were excluded: no seed has them all"]
    own = choice.grid[choice.grid["candidate"] == choice.candidate]["shared"].max()
    best = fewer.sort_values("shared", ascending=False, kind="stable").iloc[0]
    alone = f"seed{'' if len(choice.shared_seeds) == 1 else 's'} {seeds} alone"
    start = f"{choice.method}: its {tried} settings were selected on pre-training {alone}"
    if best["shared"] > own:
        return [
            f"{start}, where {best['setting'] or 'another'} scored {100 * best['shared']:.1f} and the row's setting "
            f"{100 * own:.1f}: the row is not at the best setting"
        ]
    return [f"{start}, where the best scored {100 * own:.1f} and the next {100 * best['shared']:.1f}"]


def _on_grid(choice: Chosen) -> list[str]:
    """Says which selected values are at the boundary of their tuning grid."""
    grids = {"rate": (choice.rate, set(choice.grid["rate"]))}
    settings = [_numbers(text) for text in choice.grid["setting"].unique()]
    for name, value in _numbers(choice.setting).items():
        grids[name] = (value, {setting[name] for setting in settings if name in setting})
    return [
        f"{choice.method}: its {name} {value:g} is at the boundary of the tuning grid {min(grid):g} to {max(grid):g}: "
        "extend the grid"
        for name, (value, grid) in grids.items()
        if len(grid) > 1 and value in (min(grid), max(grid))
    ]


def _numbers(setting: str) -> dict[str, float]:
    """Returns the numbers of a setting in words: `ASB.inner_lr=0.1` -> {"ASB.inner_lr": 0.1}."""
    found = {}
    for part in setting.split(", "):
        name, _, value = part.partition("=")
        with suppress(ValueError):
            found[name] = float(value)
    return found


def on_bound(name: str, means: Mapping[str, Sequence[float]], bounds: Collection[str]) -> str:
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


def on_ranks(
    order: Sequence[str], means: Mapping[str, Sequence[float]], failed: Collection[str], bounds: Collection[str]
) -> list[str]:
    """Says why a method has no rank: a failed task, an upper bound, too few pre-training seeds."""
    notes = [f"{name}: not ranked: a task failed and has to be repeated" for name in sorted(failed) if name in means]
    notes += [on_bound(name, means, bounds) for name in sorted(bounds) if name in means]
    for name in order:
        seeds = len(means[name])
        if seeds < compare.LEAST_SEEDS:
            more = compare.LEAST_SEEDS - seeds
            notes.append(
                f"{name}: {_count(seeds, 'pre-training seed')}, so no interval and no rank; {more} more needed"
            )
    return notes


def on_metric(metric: Metric, lacking: Mapping[str, int]) -> list[str]:
    """Says what a table ranks by, where it is not final held-out accuracy, and which methods do not have it.

    Args:
        metric: what it ranks by.
        lacking: method -> reported trials without it.
    """
    if metric is FINAL:
        return []
    less = "; less is better, and differences are of its negative" if metric.smallest_first else ""
    said = [f"Ranked by {metric.meaning}{less}. Settings and rates are selected by final held-out accuracy."]
    names = ", ".join(f"{name} ({_count(count, 'trial')})" for name, count in sorted(lacking.items()))
    return [*said, f"not ranked, for it was not recorded, or a trial diverged: {names}"] if lacking else said


def on_comparison(
    ranked: Mapping[str, list[float]], compared: Sequence[Pair], papers: Mapping[tuple[str, str], float]
) -> list[str]:
    """Says what difference the table detects, and what the paper's test finds.

    Args:
        ranked: method -> means per seed, of the methods that were compared.
        compared: every pair of them.
        papers: the p of the paper's test for each pair.
    """
    if not compared:
        return []
    called = sum(p < compare.ALPHA for p in papers.values())
    return [
        f"This table detects a difference of {100 * smallest_difference(ranked):.1f} points between two methods with "
        "80% power. Adding a method changes ranks and groups: Holm's adjustment "
        "is over all pairs.",
        f"The paper's test (Mann-Whitney U over trials) calls {called} of {len(papers)} pairs different. It treats "
        "trials of one pre-trained model as independent, so it rejects too often where seeds differ.",
    ]


def on_spread(chosen: Mapping[str, pd.DataFrame], validated: Sequence[tuple[float, float]]) -> list[str]:
    """Says how the scores of trials vary, and whether validation accuracy predicts transfer accuracy.

    Args:
        chosen: method -> its reported trials.
        validated: validation and transfer accuracy of each method that has both.
    """
    notes = []
    if chosen:
        every = pd.concat([rows.assign(method=name) for name, rows in chosen.items()])
        found = variance_components(every)
        if any(map(math.isnan, found.values())):
            notes.append("Standard deviations of trial scores: the fit of the mixed model did not converge.")
        elif found:
            spreads = ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items())
            notes.append(f"Standard deviations of trial scores in points (mixed model): {spreads}.")
    if len(validated) > 2:
        tau, p = compare.rank_correlation(*map(list, zip(*validated)))
        exact = "too few methods (or ties) for a p-value" if math.isnan(p) else f"exact p = {p:.3f}"
        notes.append(
            f"Validation against transfer accuracy over {len(validated)} methods: Kendall's tau {tau:.2f}, {exact}."
        )
    return notes


def on_draws(trials: pd.DataFrame, by: str) -> list[str]:
    """Says how trials were drawn: shared by all seeds or not, and what settings were selected on."""
    notes = []
    if "crossed" in set(trials["draws"]):
        notes.append(
            "Draws are crossed: all pre-training seeds share one set of trials, so the 95% intervals cover less (93, "
            "90 and 83% with 3, 5 and 10 seeds in simulations), and methods are called different too easily."
        )
    selected = trials[trials["role"] == contract.SELECT]
    if by == "paper":
        notes.append("Settings and rates are selected on the reported trials, as in the paper: scores are optimistic.")
    elif not selected.empty:
        share = float(selected["common_classes"].max())
        notes.append(f"Selection trials share {100 * share:.0f}% of their classes with the reported trials' pool.")
    return notes


def on_mapped(trials: pd.DataFrame, facts: Mapping[str, Any]) -> list[str]:
    """Says what the score of runs from elsewhere is, and where they end at different steps.

    Args:
        trials: every trial of the table.
        facts: what their fingerprint is made of.
    """
    said = [f"The score is {facts['score']}, read from the logs of another program."] if "score" in facts else []
    own = trials[(trials["transfer"] == "mapped") & (trials["status"] == contract.FINISHED)]
    steps = own.groupby("last_step").size()
    if len(steps) < 2:
        return said
    ends = ", ".join(f"{count} at {step}" for step, count in list(steps.items())[:5])
    return [*said, f"Runs end at different steps: {ends}{' and others' if len(steps) > 5 else ''}."]


def _count(number: int, noun: str) -> str:
    """Returns a number and its noun.

    >>> _count(1, "trial"), _count(3, "trial")
    ('1 trial', '3 trials')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
