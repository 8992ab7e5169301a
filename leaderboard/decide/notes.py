"""Notes on a table as a whole: what it detects, how its trials vary and were drawn. Generated from the logs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import Pair
from zapbench.leaderboard.decide.metrics import FINAL, Metric
from zapbench.leaderboard.decide.power import smallest_difference
from zapbench.leaderboard.decide.variance import variance_components
from zapbench.text import count


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
    names = ", ".join(f"{name} ({count(number, 'trial')})" for name, number in sorted(lacking.items()))
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
    if len(validated) > 2 and len({one for one, _ in validated}) > 1:
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
        notes += _on_length(trials[trials["status"] == contract.FINISHED])
    return notes


def _on_length(trials: pd.DataFrame) -> list[str]:
    """Says where selection trials are of another length than reported ones, which moves the best rate."""
    ends = trials[trials["last_step"] > 0].groupby("role")["last_step"].max()
    if len(ends) < 2 or ends.nunique() == 1:
        return []
    select, report = (int(ends[role]) for role in (contract.SELECT, contract.REPORT))
    return [
        f"Selection trials end at step {select:,}, reported ones at step {report:,}: the rate that is best for the one "
        "length need not be best for the other."
    ]


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
    ends = ", ".join(f"{number} at {step}" for step, number in list(steps.items())[:5])
    return [*said, f"Runs end at different steps: {ends}{' and others' if len(steps) > 5 else ''}."]
