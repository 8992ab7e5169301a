"""What difference a table of this size detects."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize, stats

from zapbench.leaderboard.decide.compare import ALPHA, LEAST_SEEDS


def smallest_difference(means: Mapping[str, Sequence[float]], *, power: float = 0.8) -> float:
    """Returns the difference of two methods that a table of this size detects with a power of 80%.

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
