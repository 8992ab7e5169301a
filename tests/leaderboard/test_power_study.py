"""The comparisons that `benchmarks/power.py` simulates, against computations of another kind."""

import importlib.util
import itertools
import sys

import numpy as np
import pytest
from scipy import optimize, special, stats
from support.paths import ROOT


@pytest.fixture(scope="module")
def power():
    spec = importlib.util.spec_from_file_location("power_study", ROOT / "benchmarks" / "power.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def means():
    generator = np.random.default_rng(0)
    return generator.normal(0, 1, (1, 6, 4)) * np.array([1, 1, 2, 3, 4, 5])[None, :, None]


def test_moderated_variances_solve_smyths_equations(power, means):
    (table,) = means
    own, variances = 3.0, table.var(axis=1, ddof=1)
    logs = np.log(variances) - special.digamma(own / 2) + np.log(own / 2)
    wanted = logs.var(ddof=1) - special.polygamma(1, own / 2)
    prior = optimize.brentq(lambda d: special.polygamma(1, d / 2) - wanted, 1e-3, 1e6)
    centre = np.exp(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2))
    shrunk = (prior * centre + own * variances) / (prior + own)
    degrees = min(prior + own, 6 * own)
    fit = power.moderated(means)
    for place, (a, b) in enumerate(itertools.combinations(range(6), 2)):
        both = (shrunk[a] + shrunk[b]) / 4
        df = both**2 / ((shrunk[a] / 4) ** 2 / degrees + (shrunk[b] / 4) ** 2 / degrees)
        p = 2 * stats.t.sf(abs(table[a].mean() - table[b].mean()) / np.sqrt(both), df)
        assert fit.p[0, place] == pytest.approx(p, rel=1e-5)
    assert fit.half[0] == pytest.approx(stats.t.ppf(0.975, degrees) * np.sqrt(shrunk / 4), rel=1e-5)


def test_without_more_spread_than_chance_makes_variances_are_pooled(power):
    means = np.stack([np.roll([1.0, 2.0, 3.0, 4.0], place) + place for place in range(6)])[None]
    pooled = means.var(axis=2, ddof=1).mean()
    expected = stats.t.ppf(0.975, 18) * np.sqrt(pooled / 4)
    # Equal variances s are, to the fit, one variance of which they are the geometric mean's estimate.
    bias = np.exp(-special.digamma(1.5) + np.log(1.5))
    assert power.moderated(means).half[0] == pytest.approx(expected * np.sqrt(bias))


def test_the_block_test_is_that_of_least_squares(power, means):
    (table,) = means
    methods, seeds = table.shape
    design = np.zeros((methods * seeds, methods + seeds))
    for place, (method, seed) in enumerate(itertools.product(range(methods), range(seeds))):
        design[place, [method, methods + seed]] = 1
    solution, *_ = np.linalg.lstsq(design, table.ravel(), rcond=None)
    residual = ((table.ravel() - design @ solution) ** 2).sum() / 15
    t = abs(solution[0] - solution[1]) / np.sqrt(residual * 2 / seeds)
    assert power.blocks(means).p[0, 0] == pytest.approx(2 * stats.t.sf(t, 15))


def test_holm_is_the_products(power):
    generator = np.random.default_rng(1)
    p = generator.random((20, 15)) ** 4
    expected = [power.compare.holm(row) < 0.05 for row in p]
    np.testing.assert_array_equal(power.significant(p), expected)
