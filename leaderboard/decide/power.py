"""What difference a table of this size detects."""

import bisect
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from zapbench.leaderboard.decide.compare import ALPHA, LEAST_SEEDS

MOST_SEEDS = 100
"""Beyond it nothing is looked for."""
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
    pooled = pooled_spread(known)
    if pooled == 0:
        return 0.0
    alpha = ALPHA / math.comb(len(known), 2)
    return standardised_difference(min(map(len, known)), alpha, power) * pooled


def pooled_spread(samples: Sequence[Sequence[float] | npt.NDArray[np.float64]]) -> float:
    """Returns the standard deviation between seeds, pooled over methods with at least two each."""
    values = [np.asarray(sample, dtype=float) for sample in samples]
    return math.sqrt(sum(v.var(ddof=1) * (len(v) - 1) for v in values) / sum(len(v) - 1 for v in values))


def seeds_to_detect(difference: float, spread: float, pairs: int, *, power: float = 0.8) -> int | None:
    """Returns how many seeds two methods need for their difference to be detected with a power of 80%.

    By Welch's t-test at 5% over the number of pairs of the table, as in `smallest_difference`.

    Args:
        difference: of the two methods.
        spread: standard deviation between seeds.
        pairs: number of pairs of the table.
        power: of the test.

    Returns:
        At least three; None where it is more than `MOST_SEEDS`.
    """
    alpha = ALPHA / max(1, pairs)
    return _fewest(lambda seeds: standardised_difference(seeds, alpha, power) * spread <= abs(difference))


def seeds_for_interval(half_width: float, spread: float, *, means: int = 1, further: float = 0.0) -> int | None:
    """Returns how many seeds a 95% t interval needs to be as narrow as asked for.

    Args:
        half_width: half of its width.
        spread: standard deviation between seeds.
        means: 1 for a mean; 2 for the difference of two.
        further: variance that more seeds do not reduce.

    Returns:
        At least three; None where it is more than `MOST_SEEDS`.
    """

    def narrow(seeds: int) -> bool:
        limit = float(stats.t.ppf(1 - ALPHA / 2, means * (seeds - 1)))
        return limit * math.sqrt(means * spread**2 / seeds + further) <= half_width

    return _fewest(narrow)


def seeds_for_trend(tau: float, methods: int, *, power: float = 0.8) -> int | None:
    """Returns how many seeds a method a trend of this size needs to be detected with a power of 80%.

    By the normal approximation of Kendall's tau between the order of the methods and their values.

    Returns:
        At least three; None where it is more than `MOST_SEEDS`.
    """
    limit = float(stats.norm.isf(ALPHA / 2) + stats.norm.ppf(power))

    def enough(seeds: int) -> bool:
        n = seeds * methods
        return abs(tau) >= limit * math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))

    return _fewest(enough)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Returns the smallest number of seeds that is enough; more of them are, too."""
    found = LEAST_SEEDS + bisect.bisect_left(range(LEAST_SEEDS, MOST_SEEDS + 1), True, key=enough)
    return found if found <= MOST_SEEDS else None


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
