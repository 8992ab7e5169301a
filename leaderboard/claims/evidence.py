"""A table's methods with one value a pre-training seed, and their pairs compared as the table compares them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import Pair
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.gains import REFERENCES
from zapbench.leaderboard.decide.power import pooled_spread, seeds_to_detect, smallest_difference
from zapbench.leaderboard.decide.rows import Row, models_of
from zapbench.leaderboard.decide.select import reported, score
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs

VALIDATION = "validation"
MAPPED = "mapped"
"""The transfer of logs that a `LogMapping` reads."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a table says about claims.

    Attributes:
        table: the table's rows of plain learning by Adam, which is the paper's way to learn.
        facts: its fingerprint's fields.
        trials: method -> its reported trials at the selected setting.
        runs: the pre-trained models of the table's scenario.
        names: method -> its name in the table that it is of, where that is another.
    """

    table: Table
    facts: Mapping[str, Any]
    trials: Mapping[str, pd.DataFrame]
    runs: pd.DataFrame
    names: Mapping[str, str]
    _kept: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    _pairs: dict[str, list[Pair]] = field(default_factory=dict)

    def row(self, method: str) -> Row:
        """Returns a method's row of the table."""
        return next(row for row in self.table.rows if row.method == method)

    def values(self, metric: str) -> dict[str, list[float]]:
        """Returns method -> a value a pre-training seed, in points; without methods that lack one.

        Args:
            metric: `held_out`, `area` or `validation`.
        """
        if metric not in self._kept:
            found = {name: self._of(name, trials, metric) for name, trials in self.trials.items()}
            self._kept[metric] = {name: own for name, own in found.items() if own and not any(map(math.isnan, own))}
        return self._kept[metric]

    def pairs(self, metric: str) -> list[Pair]:
        """Returns every pair of methods that the table compares, p adjusted by Holm; differences in points."""
        if metric not in self._pairs:
            own = {name: values for name, values in self.values(metric).items() if name not in self.table.excluded}
            self._pairs[metric] = compare.pairs(own)
        return self._pairs[metric]

    def pair(self, metric: str, first: str, second: str) -> Pair:
        """Returns two methods compared, the difference being the first's minus the second's."""
        for pair in self.pairs(metric):
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.first, pair.second) == (second, first):
                return Pair(first, second, -pair.difference, pair.p, pair.adjusted)
        raise ValueError(f"{first} and {second} were not compared")

    def detects(self, metric: str) -> float:
        """Returns the difference, in points, that the table detects with 80% power."""
        compared = {name for pair in self.pairs(metric) for name in (pair.first, pair.second)}
        return smallest_difference({name: own for name, own in self.values(metric).items() if name in compared})

    def seeds_to_detect(self, metric: str, pair: Pair) -> int | None:
        """Returns how many seeds a difference as large as a pair's needs to be significant, with 80% power."""
        values = self.values(metric)
        spread = pooled_spread([values[pair.first], values[pair.second]])
        return seeds_to_detect(pair.difference, spread, len(self.pairs(metric)))

    def _of(self, method: str, trials: pd.DataFrame, metric: str) -> list[float]:
        if metric == VALIDATION:
            own = models_of(self.runs, trials)
            means = self.runs[own].groupby("pretrain_seed")["validation"].mean()
        else:
            means = score(trials, metric).groupby(trials["pretrain_seed"]).mean()
        return [100 * float(value) for value in means]


def evidence(logs: Logs, table: Table) -> Evidence:
    """Collects what a table says."""
    trials = trials_of(logs, table)
    chosen = {row.method: reported(trials, table.choices[row.method]) for row in table.rows}
    runs = logs.runs[logs.runs["scenario"] == table.scenario]
    facts = logs.facts.get(table.fingerprint, {})
    plain = _plain(chosen)
    if list(plain.values()) == list(chosen):
        return Evidence(table, facts, chosen, runs, {})
    part = replace(
        table,
        rows=[replace(row, method=plain[row.method]) for row in table.rows if row.method in plain],
        choices={plain[name]: choice for name, choice in table.choices.items() if name in plain},
        bounds=_under_plain_names(table.bounds, plain),
        failed=_under_plain_names(table.failed, plain),
        lacking=_under_plain_names(table.lacking, plain),
        pairs=[],
        papers={},
    )
    own = {plain[name]: found for name, found in chosen.items() if name in plain}
    return Evidence(part, facts, own, runs, {new: name for name, new in plain.items()})


def _under_plain_names(methods: Iterable[str], plain: Mapping[str, str]) -> frozenset[str]:
    return frozenset(plain[name] for name in methods if name in plain)


def _plain(chosen: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Returns row -> its name without that of the transfer, of the rows of plain learning by Adam.

    How mapped logs learned is not known: they are taken for such.
    """
    found = {}
    for name, trials in chosen.items():
        transfer = str(trials["transfer"].iloc[0])
        if transfer in (*REFERENCES, MAPPED) and not trials["learner"].any():
            found[name] = name.removesuffix(f" ({transfer})")
    return found
