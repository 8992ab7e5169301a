"""Methods compared. The pre-training seed is the unit of replication.

Intervals are Student's t over the means per pre-training seed. Pairs of methods are compared by Welch's t-test on seed
means, p-values adjusted by Holm over all pairs of the table. A method's rank is one plus the number of methods that
are significantly better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from zapbench.leaderboard.decide.variance import variance_components as variance_components

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


def half_width(samples: Sequence[Sequence[float]], further: float = 0.0) -> float:
    """Returns half of the 95% interval of a mean, or of the difference of two by Welch.

    NaN with fewer than three values of a sample; without any spread, 0.

    >>> round(half_width([[0.40, 0.42, 0.44], [0.50, 0.52, 0.54]]), 4)
    0.0453

    Args:
        samples: means per seed of one or two methods.
        further: variance that is added to that of the mean or difference.
    """
    if min(map(len, samples)) < LEAST_SEEDS:
        return math.nan
    errors = np.array([np.var(sample, ddof=1) / len(sample) for sample in samples])
    total = float(errors.sum())
    spread = float(sum(e**2 / (len(s) - 1) for e, s in zip(errors, samples)))
    if spread == 0:  # also where the square of a variance is too small for a number
        return 0.0
    degrees = total**2 / spread
    return float(stats.t.ppf(1 - ALPHA / 2, degrees)) * math.sqrt(total + further)


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the two-sided p of Welch's t-test; without any spread, 0 for different means and 1 for equal ones."""
    return float(_welch([first, second], np.array([0]), np.array([1]))[0])


def _welch(
    samples: Sequence[Sequence[float]], first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Returns the p of Welch's t-test for pairs of samples, given by their places."""
    counts = np.array([len(sample) for sample in samples])
    means = np.array([np.mean(sample) for sample in samples])
    # Equal values have no spread; computed, it may be a last digit.
    errors = np.array([np.var(s, ddof=1) / len(s) if np.ptp(s) > 0 else 0.0 for s in samples])
    means = np.where(errors > 0, means, [sample[0] for sample in samples])
    difference = means[first] - means[second]
    variance = errors[first] + errors[second]
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = errors**2 / (counts - 1)
        degrees = variance**2 / (squares[first] + squares[second])
        p = 2 * stats.t.sf(np.abs(difference) / np.sqrt(variance), degrees)
    return np.where(variance > 0, p, np.where(difference == 0, 1.0, 0.0))


def pairs(means: Mapping[str, Sequence[float]]) -> list[Pair]:
    """Compares every two methods that have at least three seeds each; p adjusted by Holm over all these pairs."""
    known = [name for name in means if len(means[name]) >= LEAST_SEEDS]
    if len(known) < 2:
        return []
    first, second = np.triu_indices(len(known), 1)
    raw = _welch([means[name] for name in known], first, second)
    middle = np.array([np.mean(means[name]) for name in known])
    return [
        Pair(known[a], known[b], float(middle[a] - middle[b]), float(p), float(q))
        for a, b, p, q in zip(first.tolist(), second.tolist(), raw, holm(raw))
    ]


def holm(raw: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Returns p-values adjusted by Holm (1979).

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(raw, dtype=float)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return adjusted


def ranks(means: Mapping[str, Sequence[float]], compared: Sequence[Pair]) -> dict[str, int]:
    """Returns one plus the number of significantly better methods, for each method that was compared with another."""
    members = {name for pair in compared for name in (pair.first, pair.second)}
    found = {name: 1 for name in means if name in members}
    for pair in compared:
        if pair.significant:
            found[pair.second if pair.difference > 0 else pair.first] += 1
    return found


def papers_test(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Returns the p of the paper's test: a two-sided Mann-Whitney U over trials, asymptotic.

    It treats trials of one pre-trained model as independent; under a true null it rejects far more often than its
    level where seeds differ.

    Args:
        first: scores `(..., trials)`.
        second: scores `(..., trials)` of the other method.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    equal = np.ptp(np.concatenate([one, other], axis=-1), axis=-1) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.mannwhitneyu(one, other, alternative="two-sided", method="asymptotic", axis=-1).pvalue
    return np.where(equal, 1.0, found)


def papers_tests(scores: Mapping[str, Sequence[float]], compared: Sequence[Pair]) -> dict[tuple[str, str], float]:
    """Returns the p of the paper's test for pairs of methods.

    Args:
        scores: method -> scores of its reported trials.
        compared: the pairs.
    """
    alike: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for pair in compared:
        alike.setdefault((len(scores[pair.first]), len(scores[pair.second])), []).append((pair.first, pair.second))
    found: dict[tuple[str, str], float] = {}
    for couples in alike.values():
        p = papers_test([scores[a] for a, _ in couples], [scores[b] for _, b in couples])
        found |= dict(zip(couples, p.tolist()))
    return {(pair.first, pair.second): found[pair.first, pair.second] for pair in compared}


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Returns Kendall's tau of two columns of a table and its exact p; p is NaN for five methods or fewer."""
    if len(first) < 3:
        return math.nan, math.nan
    tied = len(set(first)) < len(first) or len(set(second)) < len(second)
    found = stats.kendalltau(first, second, method="asymptotic" if tied else "exact")
    return float(found.statistic), float(found.pvalue) if len(first) > 5 and not tied else math.nan
