"""What difference a table of this size detects."""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize, stats

from zapbench.leaderboard.decide.compare import ALPHA, LEAST_SEEDS

QUANTILES = 200
"""Of either method's spread between seeds, over which the power is a mean."""


def smallest_difference(means: Mapping[str, Sequence[float]], *, power: float = 0.8) -> float:
    """Returns the difference that two methods must have for a table of this size to detect it with a power of 80%.

    Of one pair that differs: Welch's t-test at 5% over the number of pairs, which is Holm's first step, with the spread
    between seeds pooled over methods and the smallest number of seeds. NaN where fewer than two methods have three
    seeds.
    """
    known = [np.asarray(values, dtype=float) for values in means.values() if len(values) >= LEAST_SEEDS]
    if len(known) < 2:
        return math.nan
    pooled = math.sqrt(sum(v.var(ddof=1) * (len(v) - 1) for v in known) / sum(len(v) - 1 for v in known))
    if pooled == 0:
        return 0.0
    alpha = ALPHA / math.comb(len(known), 2)
    return standardised_difference(min(map(len, known)), alpha, power) * pooled


@functools.lru_cache
def standardised_difference(seeds: int, alpha: float, power: float) -> float:
    """Solves the power of Welch's t-test for the difference in standard deviations between seeds.

    Both methods have `seeds` values of one normal distribution, but for the difference. Given their two sample
    variances, which are independent of the means, the power is that of a normal; it is averaged over quantiles of them.
    """
    degrees = seeds - 1
    variance = stats.chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, degrees) / degrees
    one, other = variance[:, None], variance[None, :]
    grid = np.geomspace(degrees, 2 * degrees, QUANTILES)
    limits = np.log(stats.t.isf(alpha / 2, grid))
    limit = np.exp(np.interp(degrees * (one + other) ** 2 / (one**2 + other**2), grid, limits))
    limit *= np.sqrt((one + other) / 2)

    def lacking(difference: float) -> float:
        shift = difference * math.sqrt(seeds / 2)
        return float(np.mean(stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift))) - power

    return float(optimize.brentq(lacking, 1e-6, 1e6))
