"""Methods compared. The pre-training seed is the unit of replication.

Intervals are Student's t over the means per pre-training seed. Pairs of methods are compared by Welch's t-test on seed
means, p-values adjusted by Holm over all pairs of the table. A method's rank is one plus the number of methods that
are significantly better.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

LEAST_SEEDS = 3
ALPHA = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean over pre-training seeds.

    Attributes:
        mean: mean of the means per seed.
        low: lower end of the 95% interval; NaN with fewer than three seeds.
        high: upper end of it.
        seeds: number of pre-training seeds.
        spread: standard deviation of the means per seed; NaN with one seed.
    """

    mean: float
    low: float
    high: float
    seeds: int
    spread: float


@dataclass(frozen=True)
class Pair:
    """Two methods compared: the difference of their means, Welch's p-value, and the same adjusted by Holm."""

    first: str
    second: str
    difference: float
    p: float
    adjusted: float

    @property
    def significant(self) -> bool:
        """Whether the two are significantly different at 5%, adjusted for all pairs of the table."""
        return self.adjusted < ALPHA


def estimate(means: Sequence[float]) -> Estimate:
    """Returns the mean of means per seed with its 95% t interval.

    >>> e = estimate([0.40, 0.42, 0.44])
    >>> round(e.mean, 3), round(e.low, 3), round(e.high, 3)
    (0.42, 0.37, 0.47)
    """
    values = np.asarray(means, dtype=float)
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    if len(values) < LEAST_SEEDS:
        return Estimate(mean, math.nan, math.nan, len(values), spread)
    half = float(stats.t.ppf(1 - ALPHA / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, len(values), spread)


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the two-sided p of Welch's t-test; without any spread, 0 for different means and 1 for equal ones."""
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        return 1.0 if first[0] == second[0] else 0.0
    return float(stats.ttest_ind(first, second, equal_var=False).pvalue)


def pairs(means: Mapping[str, Sequence[float]]) -> list[Pair]:
    """Compares every two methods that have at least three seeds each; p adjusted by Holm over all these pairs."""
    known = [name for name in means if len(means[name]) >= LEAST_SEEDS]
    couples = list(itertools.combinations(known, 2))
    if not couples:
        return []
    raw = [welch(means[a], means[b]) for a, b in couples]
    adjusted = multipletests(raw, method="holm")[1]
    differences = [float(np.mean(means[a]) - np.mean(means[b])) for a, b in couples]
    return [Pair(a, b, d, p, float(q)) for (a, b), d, p, q in zip(couples, differences, raw, adjusted)]


def ranks(means: Mapping[str, Sequence[float]], compared: Sequence[Pair]) -> dict[str, int]:
    """Returns one plus the number of significantly better methods, for each method that was compared."""
    found = {name: 1 for name in means if len(means[name]) >= LEAST_SEEDS}
    for pair in compared:
        if pair.significant:
            found[pair.second if pair.difference > 0 else pair.first] += 1
    return found


def papers_test(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the p of the paper's test: a two-sided Mann-Whitney U over trials, asymptotic.

    It treats trials of one pre-trained model as independent; under a true null it rejects far more often than its
    level where seeds differ.
    """
    if np.ptp([*first, *second]) == 0:
        return 1.0
    return float(stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic").pvalue)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Returns Kendall's tau of two columns of a table and its exact p; p is NaN for five methods or fewer."""
    if len(first) < 3:
        return math.nan, math.nan
    tied = len(set(first)) < len(first) or len(set(second)) < len(second)
    found = stats.kendalltau(first, second, method="asymptotic" if tied else "exact")
    return float(found.statistic), float(found.pvalue) if len(first) > 5 and not tied else math.nan
