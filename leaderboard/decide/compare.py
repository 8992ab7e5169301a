"""Statistics of a table. The pre-training seed is the unit of replication.

Intervals are Student's t over the means per pre-training seed. Pairs of methods are compared by Welch's t on seed
means, p-values adjusted by Holm over all pairs of the table. A method's rank is one plus the number of methods that
are significantly better; two methods that share a letter cannot be told apart.
"""

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests

LEAST_SEEDS = 3
ALPHA = 0.05
LARGEST_FIT = 600
"""Trials beyond which variance components are not fitted: the fit is cubic in them."""


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
    """Two methods compared: the difference of their means, Welch's p and the p that Holm makes of it."""

    first: str
    second: str
    difference: float
    p: float
    adjusted: float

    @property
    def significant(self) -> bool:
        """Whether the two can be told apart at 5%, all pairs of the table considered."""
        return self.adjusted < ALPHA


def smallest_difference(means: Mapping[str, Sequence[float]], *, power: float = 0.8) -> float:
    """Returns the difference of two methods that a table of this size sees with a power of 80%.

    For a two-sided t test at 5% over the number of pairs (Holm's first step), with the pooled spread between seeds and
    the smallest number of seeds. NaN where fewer than two methods have three seeds.
    """
    known = [np.asarray(values, dtype=float) for values in means.values() if len(values) >= LEAST_SEEDS]
    if len(known) < 2:
        return math.nan
    pooled = math.sqrt(sum(v.var(ddof=1) * (len(v) - 1) for v in known) / sum(len(v) - 1 for v in known))
    if pooled == 0:
        return 0.0
    alpha = ALPHA / math.comb(len(known), 2)
    seeds = min(len(values) for values in known)
    return float(_standardised_difference(seeds, alpha, power)) * pooled


def _standardised_difference(seeds: int, alpha: float, power: float) -> float:
    """Solves the power of a two-sample t test for the difference in standard deviations.

    The power is a mean over the chi-squared spread: scipy's non-central t is NaN where the shift is large.
    """
    degrees = 2 * seeds - 2
    limit = stats.t.ppf(1 - alpha / 2, degrees)
    spread = limit * np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, degrees) / degrees)

    def lacking(difference: float) -> float:
        shift = difference * math.sqrt(seeds / 2)
        return float(np.mean(stats.norm.sf(spread - shift) + stats.norm.cdf(-spread - shift))) - power

    return float(optimize.brentq(lacking, 1e-6, 1e3))


def papers_test(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the p of the paper's test: a two-sided Mann-Whitney U over trials, asymptotic.

    It takes trials of one pre-trained model for independent; under a true null it rejects far more often than its
    level where seeds spread.
    """
    if np.ptp([*first, *second]) == 0:
        return 1.0
    return float(stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic").pvalue)


def variance_components(rows: pd.DataFrame) -> dict[str, float]:
    """Returns how the trials of one table spread: standard deviations between seeds, draws, and what is left.

    A mixed model with the method as fixed effect and random effects for each pre-trained model (`seeds`) and for each
    draw of classes, shared by all methods (`draws`); statsmodels' `MixedLM`, REML. No p-value is taken from it.

    Args:
        rows: columns method, pretrain_seed, transfer_seed, score.

    Returns:
        Standard deviations `seeds`, `draws`, `residual`; empty where there is too little to fit, or the fit fails.
    """
    if rows["pretrain_seed"].nunique() < 2 or rows["transfer_seed"].nunique() < 2 or len(rows) > LARGEST_FIT:
        return {}
    keys = rows.assign(
        model=rows["method"].astype(str) + "/" + rows["pretrain_seed"].astype(str),
        draw=rows["pretrain_seed"].astype(str) + "/" + rows["transfer_seed"].astype(str),
        whole=1,
    )
    formula = {"seeds": "0 + C(model)", "draws": "0 + C(draw)"}
    fixed = "score ~ C(method)" if rows["method"].nunique() > 1 else "score ~ 1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence: a fit on the edge is still the best estimate
        try:
            fit = MixedLM.from_formula(fixed, keys, groups="whole", vc_formula=formula, re_formula="0").fit()
        except (np.linalg.LinAlgError, ValueError):
            return {}
    names = fit.model.exog_vc.names
    found = {name: math.sqrt(max(0.0, float(value))) for name, value in zip(names, fit.vcomp)}
    return found | {"residual": math.sqrt(max(0.0, float(fit.scale)))}


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Returns Kendall's tau of two columns of a table and its exact p; p is NaN for five methods or fewer."""
    if len(first) < 3:
        return math.nan, math.nan
    tied = len(set(first)) < len(first) or len(set(second)) < len(second)
    found = stats.kendalltau(first, second, method="asymptotic" if tied else "exact")
    return float(found.statistic), float(found.pvalue) if len(first) > 5 and not tied else math.nan


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
    """Returns the two-sided p of Welch's t test; without any spread, 0 for different means and 1 for equal ones."""
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


def letters(names: Sequence[str], compared: Sequence[Pair]) -> dict[str, str]:
    """Returns compact letters: two methods share one exactly where they cannot be told apart.

    Args:
        names: the methods, best first.
        compared: every pair of them.

    The groups are the maximal cliques of "cannot be told apart" (Piepho 2004 names them so), lettered from the best.

    >>> abc = [Pair("x", "y", 0.1, 0.2, 0.2), Pair("x", "z", 0.3, 0.0, 0.0), Pair("y", "z", 0.2, 0.1, 0.1)]
    >>> letters(["x", "y", "z"], abc)
    {'x': 'a', 'y': 'ab', 'z': 'b'}
    """
    apart = {frozenset((pair.first, pair.second)) for pair in compared if pair.significant}
    alike = {a: {b for b in names if b != a and frozenset((a, b)) not in apart} for a in names}
    cliques = sorted(_cliques(set(), set(names), set(), alike), key=lambda c: sorted(names.index(n) for n in c))
    found = dict.fromkeys(names, "")
    for number, clique in enumerate(cliques):
        for name in clique:
            found[name] += _letter(number)
    return found


def _cliques(
    inside: set[str], open_: set[str], closed: set[str], alike: Mapping[str, set[str]]
) -> list[frozenset[str]]:
    """Bron and Kerbosch (1973), with a pivot."""
    if not open_ and not closed:
        return [frozenset(inside)]
    pivot = max(sorted(open_ | closed), key=lambda name: len(alike[name] & open_))
    found = []
    for name in sorted(open_ - alike[pivot]):
        found += _cliques(inside | {name}, open_ & alike[name], closed & alike[name], alike)
        open_ = open_ - {name}
        closed = closed | {name}
    return found


def _letter(number: int) -> str:
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else letter + str(number // 26)
