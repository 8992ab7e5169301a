"""What zapping gains under each head: one pre-training with and without it, transferred in the same way.

A gain is a difference of means over pre-training seeds; its interval and its p-value are Welch's, adjusted by Holm over
all gains of the table. The share that is left under a head is its gain over the gain under the reference head.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from zapbench.leaderboard.decide.compare import ALPHA, LEAST_SEEDS, Estimate, estimate, half_width, holm, welch
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.rows import seed_means
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs

ZAPPED = "_zap"
"""What the name of a strategy with zapping ends in."""
REFERENCES = ("sequential", "sequential_unfrozen", "iid", "iid_frozen")
"""Plain learning by Adam, one for each protocol: its gain is the whole of which other gains are shares."""

Means = Mapping[int, float]
"""Pre-training seed -> mean score of its trials, in [0, 1]."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval; NaN where it cannot be given."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Gain:
    """What zapping gains in one pre-training under one head.

    Attributes:
        strategy: the pre-training without zapping.
        transfer: how new classes are learned.
        plain: held-out accuracy without zapping, over pre-training seeds.
        zapped: the same with zapping.
        difference: `zapped` minus `plain`, with Welch's interval.
        p: Welch's p, adjusted by Holm over all gains of the table; NaN with fewer than three seeds.
        share: the gain over that under the reference head, with Fieller's interval; NaN where the latter is not
            significantly above 0.
    """

    strategy: str
    transfer: str
    plain: Estimate
    zapped: Estimate
    difference: Interval
    p: float
    share: Interval

    @property
    def significant(self) -> bool:
        """Whether the two are significantly different at 5%."""
        return self.p < ALPHA


def gains(table: Table, logs: Logs) -> list[Gain]:
    """Returns the gains of a table, in the order of `scores`.

    Args:
        table: of the logs; methods without a partner are ignored, those that failed, those with undeclared bindings
            that others lack, and those that are not called by their strategy.
        logs: for the strategy and the transfer of each method.
    """
    found = _means(table, logs)
    couples = [(name, transfer) for name, transfer in found if (name + ZAPPED, transfer) in found]
    raw = [_p(found[s, t], found[s + ZAPPED, t]) for s, t in couples]
    known = [place for place, p in enumerate(raw) if not math.isnan(p)]
    for place, p in zip(known, holm([raw[place] for place in known]) if known else ()):
        raw[place] = float(p)
    gained = {couple for couple, p in zip(couples, raw) if p < ALPHA and _gain(_couple(found, *couple)) > 0}
    listed = []
    for (strategy, transfer), p in zip(couples, raw):
        plain, zapped = _couple(found, strategy, transfer)
        share = Interval(math.nan)
        reference = next((name for name in REFERENCES if (strategy, name) in gained), "")
        if reference and transfer != reference:
            share = share_of((plain, zapped), _couple(found, strategy, reference))
        estimates = estimate(list(plain.values())), estimate(list(zapped.values()))
        difference = difference_of(list(plain.values()), list(zapped.values()))
        listed.append(Gain(strategy, transfer, *estimates, difference, p, share))
    return listed


def scores(table: Table, logs: Logs) -> dict[tuple[str, str], Estimate]:
    """Returns (strategy, transfer) -> held-out accuracy over pre-training seeds.

    Pre-trainings are in the order of the table's rows, each with and without zapping side by side; the reference head
    is the first.
    """
    return {key: estimate(list(means.values())) for key, means in _means(table, logs).items()}


def _means(table: Table, logs: Logs) -> dict[tuple[str, str], Means]:
    found: dict[tuple[str, str], list[Means]] = defaultdict(list)
    own = trials_of(logs, table)
    for row in table.rows:
        if row.method in table.failed:
            continue
        trials = reported(own, table.choices[row.method])
        key = str(trials["strategy"].iloc[0]), str(trials["transfer"].iloc[0])
        if not _is_as_shipped(row.method, *key):
            continue
        seeds = sorted(trials["pretrain_seed"].unique().tolist())
        found[key].append(dict(zip(seeds, seed_means(trials), strict=True)))
    places = {strategy.removesuffix(ZAPPED): place for place, (strategy, _) in reversed(list(enumerate(found)))}
    order = sorted(found, key=lambda k: (places[k[0].removesuffix(ZAPPED)], k[0], k[1] not in REFERENCES))
    return {key: found[key][0] for key in order if len(found[key]) == 1}


def _is_as_shipped(method: str, strategy: str, transfer: str) -> bool:
    """Returns whether a row's name says that it is of a strategy and a transfer as their files state them."""
    pretraining = method.partition(" + ")[0].removesuffix(f" ({transfer})")
    return pretraining == strategy and "[" not in method


def _couple(found: Mapping[tuple[str, str], Means], strategy: str, transfer: str) -> tuple[Means, Means]:
    return found[strategy, transfer], found[strategy + ZAPPED, transfer]


def _p(plain: Means, zapped: Means) -> float:
    few = min(len(plain), len(zapped)) < LEAST_SEEDS
    return math.nan if few else welch(list(plain.values()), list(zapped.values()))


def difference_of(plain: Sequence[float], zapped: Sequence[float]) -> Interval:
    """Returns the difference of two means with Welch's 95% interval (Welch 1947), NaN with fewer than three seeds."""
    value, half = float(np.mean(zapped) - np.mean(plain)), half_width([plain, zapped])
    return Interval(value, value - half, value + half)


def share_of(part: tuple[Means, Means], whole: tuple[Means, Means]) -> Interval:
    """Returns one gain over another with Fieller's 95% interval (1954), from the seeds that all four share.

    The same models are transferred under both heads, so the two gains are correlated: the covariance is that of the
    models' means. With fewer than three such seeds, or where the interval is not finite, there is no interval.

    Args:
        part: means without and with zapping, under the head in question.
        whole: the same under the reference head.
    """
    seeds = sorted(set.intersection(*(set(means) for means in (*part, *whole))))
    if len(seeds) < LEAST_SEEDS:
        return Interval(_gain(part) / _gain(whole))
    # Without and with zapping: a row for the head in question and one for the reference, a column a seed.
    plain, zapped = (np.array([[own[seed] for seed in seeds] for own in models]) for models in zip(part, whole))
    gain, gain_of_whole = (zapped - plain).mean(axis=1)
    value = float(gain / gain_of_whole)
    covariance = (np.cov(plain) + np.cov(zapped)) / len(seeds)  # the two pre-trainings are independent
    t = float(stats.t.ppf(1 - ALPHA / 2, len(seeds) - 1))
    a = gain_of_whole**2 - t**2 * covariance[1, 1]
    b = gain * gain_of_whole - t**2 * covariance[0, 1]
    c = gain**2 - t**2 * covariance[0, 0]
    if a <= 0 or b**2 < a * c:
        return Interval(value)
    root = math.sqrt(b**2 - a * c)
    return Interval(value, float((b - root) / a), float((b + root) / a))


def _gain(models: tuple[Means, Means]) -> float:
    plain, zapped = models
    return float(np.mean(list(zapped.values())) - np.mean(list(plain.values())))
