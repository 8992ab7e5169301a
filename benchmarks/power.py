"""Simulates how tables of few seeds compare methods: Welch and Holm, and two that borrow strength between methods.

    python benchmarks/power.py

It takes some ten seconds of one core.

Three comparisons of the means per pre-training seed, each with Holm's adjustment over all pairs of a table:

- `welch`: the product's (`zapbench.leaderboard.decide.compare`); some tables of every case are compared with it;
- `moderated`: variances shrunk to a prior that is fitted to all methods of the table, and Welch's test with them
  (Smyth 2004, *Linear models and empirical Bayes methods for assessing differential expression*, sections 3 to 6);
- `blocks`: a mixed model with matched draws: methods share the draws of a seed, so the seed is a random block, and one
  residual variance is estimated from all methods (of balanced seed means, REML is this analysis of variance).

Spreads are those of the published logs. Prints Markdown: family-wise error, coverage and power for each case.
"""

import argparse
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from zapbench.leaderboard.decide import compare

Array = npt.NDArray[np.float64]

CHECKED = 10
"""Tables of each case that are also computed by the product."""
SEEDS = (3, 5, 10)
TRIALS = 10
MODEL, DRAW, RESIDUAL = 1.0, 1.6, 2.3
"""Standard deviations in points measured on `omniglot_small`: between pre-trained models, between draws, the rest."""
CONTENDERS = (
    1.08, 1.79, 1.10, 2.12, 2.07, 1.98, 1.63, 2.04, 3.88, 0.55, 0.53, 0.83,
    1.62, 1.57, 1.30, 0.60, 0.61, 0.61, 1.07, 1.43,
)  # fmt: skip
"""Standard deviations of seed means in `omniglot_small_contenders_frozen`, in points: 20 methods, 3 seeds."""
DIFFERENCE = 5.0
"""Points by which one method is above the others where power is simulated."""
CHANCE = -40.0
"""Points from the mean to chance."""


@dataclass(frozen=True)
class Case:
    """What is simulated.

    Attributes:
        name: in words.
        scales: of each method, by how much its seeds and its residual spread more than measured.
        heavy: whether models are drawn from Student's t with three degrees of freedom.
        diverged: whether one seed of the last method is at chance; its pairs are not counted as null.
    """

    name: str
    scales: tuple[float, ...]
    heavy: bool = False
    diverged: bool = False


def root(*variances: float) -> tuple[float, ...]:
    """Returns standard deviations."""
    return tuple(math.sqrt(variance) for variance in variances)


SEED_MEAN = math.hypot(MODEL, RESIDUAL / math.sqrt(TRIALS))
CASES = (
    Case("equal variances, 6 methods", (1.0,) * 6),
    Case("variances 1 to 5, 6 methods", root(1, 1, 2, 3, 4, 5)),
    Case("one variance of 6 is 5", root(1, 1, 1, 1, 1, 5)),
    Case("one variance of 6 is 1/5", root(1, 1, 1, 1, 1, 0.2)),
    Case("standard deviations 1 to 5, 6 methods", (1, 1, 2, 3, 4, 5)),
    Case("heavy tails between seeds, 6 methods", (1.0,) * 6, heavy=True),
    Case("one seed diverged, 6 methods", (1.0,) * 6, diverged=True),
    Case("published spreads, 20 methods", tuple(spread / SEED_MEAN for spread in CONTENDERS)),
)


def simulate(generator: np.random.Generator, case: Case, seeds: int, tables: int) -> Array:
    """Returns means per seed in points around 0, `(tables, methods, seeds)`; all methods share a seed's draws."""
    scale = np.asarray(case.scales)[None, :, None]
    shape = (tables, len(case.scales), seeds)
    model = generator.standard_t(3, shape) / math.sqrt(3) if case.heavy else generator.standard_normal(shape)
    draws = DRAW / math.sqrt(TRIALS) * generator.standard_normal((tables, 1, seeds))
    rest = RESIDUAL / math.sqrt(TRIALS) * generator.standard_normal(shape)
    means: Array = scale * (MODEL * model + rest) + draws
    if case.diverged:
        means[:, -1, 0] = CHANCE
    return means


@dataclass(frozen=True)
class Fit:
    """What a comparison makes of tables.

    Attributes:
        p: of each pair, before adjustment, `(tables, pairs)`.
        half: half the 95% interval of each method's mean, `(tables, methods)`.
    """

    p: Array
    half: Array


def welch(means: Array) -> Fit:
    """The product's comparison, of many tables at once."""
    seeds = means.shape[2]
    return _unequal(means, means.var(axis=2, ddof=1), np.full(means.shape[:2], seeds - 1.0))


def moderated(means: Array) -> Fit:
    """Variances moderated by the other methods' (Smyth 2004)."""
    methods, seeds = means.shape[1:]
    own = float(seeds - 1)
    variances = means.var(axis=2, ddof=1)
    logs = np.log(variances) - special.digamma(own / 2) + math.log(own / 2)
    spread = logs.var(axis=1, ddof=1) - special.polygamma(1, own / 2)
    prior = np.array([2 * _inverse_trigamma(value) if value > 0 else np.inf for value in spread])
    finite = np.where(np.isfinite(prior), prior, 1.0)
    shift = np.where(np.isfinite(prior), special.digamma(finite / 2) - np.log(finite / 2), 0.0)
    centre = np.exp(logs.mean(axis=1) + shift)[:, None]
    weight = np.where(np.isfinite(prior), finite / (finite + own), 1.0)[:, None]
    shrunk = weight * centre + (1 - weight) * variances
    degrees = np.minimum(prior + own, methods * own)[:, None]  # as limma: never more than all methods have
    return _unequal(means, shrunk, np.broadcast_to(degrees, shrunk.shape))


def _inverse_trigamma(value: float) -> float:
    """Solves `trigamma(x) = value` by Newton's method (Smyth 2004, appendix)."""
    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        own = float(special.polygamma(1, x))
        step = own * (1 - own / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x


def blocks(means: Array) -> Fit:
    """One residual variance of all methods, after the means of methods and of seeds."""
    methods, seeds = means.shape[1:]
    rest = means - means.mean(axis=2, keepdims=True) - means.mean(axis=1, keepdims=True)
    rest += means.mean(axis=(1, 2), keepdims=True)
    degrees = (methods - 1) * (seeds - 1)
    residual = (rest**2).sum(axis=(1, 2)) / degrees
    first, second = np.triu_indices(methods, 1)
    middle = means.mean(axis=2)
    t = np.abs(middle[:, first] - middle[:, second]) / np.sqrt(2 * residual / seeds)[:, None]
    # Of a method alone: the blocks' variance counts, too, and its estimate has few degrees (Satterthwaite).
    between = methods * means.mean(axis=1).var(axis=1, ddof=1)
    error = (between + (methods - 1) * residual) / (methods * seeds)
    own = (between + (methods - 1) * residual) ** 2 / (
        between**2 / (seeds - 1) + ((methods - 1) * residual) ** 2 / degrees
    )
    half = (stats.t.ppf(0.975, own) * np.sqrt(error))[:, None]
    return Fit(2 * stats.t.sf(t, degrees), np.broadcast_to(half, middle.shape))


def _unequal(means: Array, variances: Array, degrees: Array) -> Fit:
    """Welch's test and t intervals with given variances and their degrees of freedom, `(tables, methods)`."""
    methods, seeds = means.shape[1:]
    first, second = np.triu_indices(methods, 1)
    middle, errors = means.mean(axis=2), variances / seeds
    both = errors[:, first] + errors[:, second]
    squares = errors**2 / degrees
    pooled = both**2 / (squares[:, first] + squares[:, second])
    p = 2 * stats.t.sf(np.abs(middle[:, first] - middle[:, second]) / np.sqrt(both), pooled)
    return Fit(p, stats.t.ppf(0.975, degrees) * np.sqrt(errors))


COMPARISONS: dict[str, Callable[[Array], Fit]] = {"welch": welch, "moderated": moderated, "blocks": blocks}


def significant(p: Array) -> npt.NDArray[np.bool_]:
    """Returns which pairs are significant at 5%, adjusted by Holm within each table."""
    order = np.argsort(p, axis=1, kind="stable")
    steps = np.arange(p.shape[1], 0, -1)
    adjusted = np.maximum.accumulate(np.take_along_axis(p, order, axis=1) * steps, axis=1)
    found = np.empty(p.shape, dtype=bool)
    np.put_along_axis(found, order, adjusted < compare.ALPHA, axis=1)
    return found


def check(means: Array) -> None:
    """Compares `welch` with the product on the first tables.

    Raises:
        AssertionError: they differ.
    """
    fit = welch(means[:CHECKED])
    for number, table in enumerate(means[:CHECKED]):
        pairs = compare.pairs({f"m{place}": list(row) for place, row in enumerate(table)})
        np.testing.assert_allclose([pair.p for pair in pairs], fit.p[number], rtol=1e-6)
        assert [pair.significant for pair in pairs] == significant(fit.p)[number].tolist()
        halves = [(found.high - found.low) / 2 for found in map(compare.estimate, table)]
        np.testing.assert_allclose(halves, fit.half[number])


@dataclass(frozen=True)
class Found:
    """What a case gave with one comparison: shares of tables, methods and pairs."""

    error: float
    coverage: float
    power: float


def study(case: Case, seeds: int, generator: np.random.Generator, tables: int) -> dict[str, Found]:
    """Simulates a case: first with equal methods, then with the first one above the others."""
    methods = len(case.scales)
    equal = simulate(generator, case, seeds, tables)
    check(equal)
    raised = simulate(generator, case, seeds, tables)
    raised[:, 0] += DIFFERENCE
    pairs = list(itertools.combinations(range(methods), 2))
    null = [not (case.diverged and methods - 1 in pair) for pair in pairs]
    first = [0 in pair and real for pair, real in zip(pairs, null)]
    known = slice(None, methods - 1) if case.diverged else slice(None)
    found = {}
    for name, comparison in COMPARISONS.items():
        fit = comparison(equal)
        found[name] = Found(
            error=float(significant(fit.p)[:, null].any(axis=1).mean()),
            coverage=float((np.abs(equal.mean(axis=2)) <= fit.half)[:, known].mean()),
            power=float(significant(comparison(raised).p)[:, first].mean()),
        )
    return found


def main() -> None:
    """Prints a table in Markdown: a row a case and number of seeds, three columns a comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=2000, help="simulated per case and number of seeds")
    tables = parser.parse_args().tables
    limit = compare.ALPHA + 3 * math.sqrt(compare.ALPHA * (1 - compare.ALPHA) / tables)
    generator = np.random.default_rng(0)
    print(f"{tables} tables each; family-wise error above {100 * limit:.1f}% is bold.\n")
    heads = [f"{name}: {what}" for what in ("error %", "coverage %", "power %") for name in COMPARISONS]
    print(f"| case | seeds | {' | '.join(heads)} |")
    print("| --- | ---: |" + " ---: |" * len(heads))
    for case in CASES:
        for seeds in SEEDS:
            found = study(case, seeds, generator, tables)
            errors = [f"{100 * one.error:.1f}" for one in found.values()]
            errors = [f"**{text}**" if one.error > limit else text for text, one in zip(errors, found.values())]
            rest = [f"{100 * one.coverage:.1f}" for one in found.values()]
            rest += [f"{100 * one.power:.1f}" for one in found.values()]
            print(f"| {case.name} | {seeds} | {' | '.join([*errors, *rest])} |", flush=True)


if __name__ == "__main__":
    main()
