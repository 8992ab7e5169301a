"""One person's methods against the references of a table: better, worse or not significantly different.

The test is the table's (Welch's on means per pre-training seed), but adjusted by Holm over these comparisons alone:
whether two references differ is not asked here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.power import pooled_spread, seeds_to_detect
from zapbench.leaderboard.decide.rows import seed_means
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs

BETTER, WORSE, ALIKE, UNKNOWN = "better", "worse", "not significantly different", "not compared"


@dataclass(frozen=True)
class Against:
    """A method against a reference.

    Attributes:
        mine: the method.
        reference: what it is compared with.
        difference: mean of `mine` minus mean of `reference`.
        low: lower end of the difference's 95% interval (Welch); NaN where one of the two has fewer than three seeds.
        high: upper end of it.
        p: of Welch's test; NaN likewise.
        adjusted: p adjusted by Holm over the comparisons of one table; NaN likewise.
        seeds: pre-training seeds of each that decide with 80% power, if the difference is the one observed; None where
            it is decided, cannot be computed, or takes more than `power.MOST_SEEDS`.
    """

    mine: str
    reference: str
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    seeds: int | None

    @property
    def verdict(self) -> str:
        """What was found, at 5%."""
        if math.isnan(self.adjusted):
            return UNKNOWN
        if self.adjusted >= compare.ALPHA:
            return ALIKE
        return BETTER if self.difference > 0 else WORSE


def against(table: Table, logs: Logs, folder: str, *, share: str) -> list[Against]:
    """Compares the methods of one folder of a table with those of the other folders; best reference first.

    A method that failed, and an upper bound, are not compared.

    Args:
        table: of the logs.
        logs: of several folders.
        folder: the name of the folder whose methods are asked about.
        share: what a method shares with its references: `transfer`, or `config_hash`, the pre-training.
    """
    rows = _rows(table, logs)
    shared = {name: own[share].iloc[0] for name, own in rows.items()}
    own = [name for name in rows if rows[name]["folder"].iloc[0] == folder]
    couples = [(one, other) for one in own for other in rows if other not in own and shared[one] == shared[other]]
    means = {name: seed_means(trials) for name, trials in rows.items()}
    known = [couple for couple in couples if min(len(means[name]) for name in couple) >= compare.LEAST_SEEDS]
    p = {couple: compare.welch(means[couple[0]], means[couple[1]]) for couple in known}
    adjusted = dict(zip(known, compare.holm([p[couple] for couple in known]).tolist()))
    found = []
    for couple in couples:
        first, second = (means[name] for name in couple)
        difference, half = float(np.mean(first) - np.mean(second)), compare.half_width([first, second])
        alike = adjusted.get(couple, math.nan) >= compare.ALPHA
        seeds = seeds_to_decide(first, second, comparisons=len(known)) if alike else None
        tests = p.get(couple, math.nan), adjusted.get(couple, math.nan)
        found.append(Against(*couple, difference, difference - half, difference + half, *tests, seeds))
    return found


def _rows(table: Table, logs: Logs) -> dict[str, pd.DataFrame]:
    """Returns method -> its reported trials, of the methods that are ranked, or would be with more seeds."""
    trials = trials_of(logs, table)
    names = [row.method for row in table.rows if row.method not in table.excluded]
    found = {name: reported(trials[trials["method"] == name], table.choices[name]) for name in names}
    return {name: own.assign(config_hash=table.choices[name].config_hash) for name, own in found.items()}


def seeds_to_decide(first: Sequence[float], second: Sequence[float], *, comparisons: int) -> int | None:
    """Returns the seeds of each of two methods that find the difference of their means with a power of 80%.

    If this difference and spread are the true ones. None where it takes more than `power.MOST_SEEDS`.

    >>> seeds_to_decide([0.40, 0.42, 0.44], [0.43, 0.45, 0.47], comparisons=1)
    9
    """
    difference = float(np.mean(first) - np.mean(second))
    return seeds_to_detect(difference, pooled_spread([first, second]), comparisons) if difference else None
