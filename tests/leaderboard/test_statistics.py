"""The statistics of a table, by simulation through `compare` and against scipy and statsmodels."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.optimize import OptimizeResult
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.power import TTestIndPower

from zapbench.leaderboard.decide import compare, variance
from zapbench.leaderboard.decide.notes import on_spread
from zapbench.leaderboard.decide.power import smallest_difference, standardised_difference
from zapbench.leaderboard.decide.variance import variance_components

SEEDS, DRAWS, RESIDUAL = 0.010, 0.016, 0.023
"""Standard deviations measured on `omniglot_small` (four methods, 3 seeds x 5 trials): between pre-trained models,
between draws, what is left."""


def simulate(generator, *, methods, seeds, trials, crossed=False, seed_spread=SEEDS):
    """Scores `(methods, seeds, trials)` around 0.4; draws are shared by all methods."""
    model = generator.normal(0, seed_spread, (methods, seeds, 1))
    draw = generator.normal(0, DRAWS, (1, 1 if crossed else seeds, trials))
    return 0.4 + model + draw + generator.normal(0, RESIDUAL, (methods, seeds, trials))


def coverage(*, seeds, crossed):
    generator = np.random.default_rng(seeds)
    inside = 0
    for _ in range(2000):
        means = simulate(generator, methods=1, seeds=seeds, trials=10, crossed=crossed)[0].mean(axis=1)
        found = compare.estimate(means)
        inside += found.low <= 0.4 <= found.high
    return inside / 2000


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_covers_what_it_claims_with_nested_draws(seeds):
    assert 0.93 <= coverage(seeds=seeds, crossed=False) <= 0.97


def test_the_interval_covers_too_little_with_crossed_draws():
    assert coverage(seeds=10, crossed=True) < 0.92


def test_a_table_of_equal_methods_rarely_calls_two_different_and_the_papers_test_often_does():
    generator = np.random.default_rng(1)
    names = [f"m{i}" for i in range(6)]
    tables, few, ours, papers = 200, 25, 0, 0
    for number in range(tables):
        scores = simulate(generator, methods=6, seeds=3, trials=10, seed_spread=2 * SEEDS)
        means = {name: list(score.mean(axis=1)) for name, score in zip(names, scores)}
        ours += any(pair.significant for pair in compare.pairs(means))
        if number >= few:  # the paper's test is slow, and what it shows is plain
            continue
        couples = itertools.combinations(range(6), 2)
        papers += any(compare.papers_test(scores[a].ravel(), scores[b].ravel()) < 0.05 for a, b in couples)
    assert ours / tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)
    assert papers / few > 0.5


@pytest.mark.parametrize(("seeds", "methods"), [(3, 7), (3, 3), (5, 6)])
def test_a_difference_said_to_be_detected_is_detected_in_80_percent_of_tables(seeds, methods):
    difference = standardised_difference(seeds, 0.05 / math.comb(methods, 2), 0.8)
    generator = np.random.default_rng(methods)
    tables, seen = 1000, 0
    for _ in range(tables):
        # Far from all others, two methods differ by it: of Holm's steps theirs is not the first alone.
        means = {f"m{i}": list(generator.normal(0, 1, seeds)) for i in range(methods)}
        means["m1"] = list(generator.normal(difference, 1, seeds))
        raw = compare.welch(means["m0"], means["m1"])
        seen += raw < 0.05 / math.comb(methods, 2)
        (pair,) = [p for p in compare.pairs(means) if (p.first, p.second) == ("m0", "m1")]
        assert pair.significant or raw >= 0.05 / math.comb(methods, 2)
    assert seen / tables == pytest.approx(0.8, abs=0.04)


def test_the_smallest_difference_with_many_seeds_is_that_of_statsmodels():
    effect = TTestIndPower().solve_power(nobs1=100, alpha=0.05 / 3, power=0.8)
    assert standardised_difference(100, 0.05 / 3, 0.8) == pytest.approx(effect, rel=1e-2)
    means = {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1]}
    assert smallest_difference(means) == pytest.approx(0.1 * standardised_difference(3, 0.05, 0.8))
    assert math.isnan(smallest_difference({"a": [1, 2]}))
    assert smallest_difference({"a": [1, 1, 1], "b": [2, 2, 2]}) == 0


def varied(generator, **sizes):
    scores = simulate(generator, **sizes)
    index = pd.MultiIndex.from_product(
        [range(size) for size in scores.shape], names=["method", "pretrain_seed", "transfer_seed"]
    )
    return pd.Series(scores.ravel(), index=index, name="score").reset_index()


def test_variance_components_are_found_again():
    found = variance_components(varied(np.random.default_rng(3), methods=4, seeds=10, trials=10))
    assert found["seeds"] == pytest.approx(SEEDS, rel=0.3)
    assert found["draws"] == pytest.approx(DRAWS, rel=0.3)
    assert found["residual"] == pytest.approx(RESIDUAL, rel=0.15)


def test_variance_components_are_the_same_where_rounding_ends_every_line_search(monkeypatch):
    rows = varied(np.random.default_rng(3), methods=4, seeds=5, trials=5)
    expected = variance_components(rows)
    plain = optimize.minimize

    def stopped(*given, method, **more):
        found = plain(*given, method=method, **more)
        return OptimizeResult(found | {"success": False}) if method == "L-BFGS-B" else found

    monkeypatch.setattr(optimize, "minimize", stopped)
    assert variance_components(rows) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_variance_components_are_those_of_statsmodels_where_that_converges(seed):
    rows = varied(np.random.default_rng(seed), methods=3, seeds=4, trials=5)
    model = rows["method"].astype(str) + "/" + rows["pretrain_seed"].astype(str)
    draw = rows["pretrain_seed"].astype(str) + "/" + rows["transfer_seed"].astype(str)
    fit = MixedLM.from_formula(
        "score ~ C(method)",
        rows.assign(score=100 * rows["score"], model=model, draw=draw, one=1),
        groups="one",
        vc_formula={"seeds": "0 + C(model)", "draws": "0 + C(draw)"},
        re_formula="0",
    ).fit()
    assert fit.converged
    theirs = dict(zip(fit.model.exog_vc.names, np.sqrt(fit.vcomp))) | {"residual": math.sqrt(fit.scale)}
    assert {name: 100 * value for name, value in variance_components(rows).items()} == pytest.approx(theirs, abs=0.02)


def test_a_fit_that_does_not_converge_says_so(monkeypatch):
    rows = varied(np.random.default_rng(3), methods=3, seeds=3, trials=5)
    failed = SimpleNamespace(success=False, fun=1.0, x=np.ones(2))
    monkeypatch.setattr(variance.optimize, "minimize", lambda *_, **__: failed)
    assert all(map(math.isnan, variance_components(rows).values()))
    assert on_spread({str(name): own for name, own in rows.groupby("method")}, [])[0].endswith(
        "the mixed model did not converge."
    )


def test_too_little_to_fit_gives_no_components():
    rows = pd.DataFrame({"method": ["a"], "pretrain_seed": [0], "transfer_seed": [0], "score": [0.5]})
    assert variance_components(rows) == {}


def test_pairs_equal_scipys_welch_and_holm_by_hand():
    generator = np.random.default_rng(4)
    means = {name: list(generator.normal(place, 1, 5)) for place, name in enumerate("abc")}
    found = compare.pairs(means)
    raw = [stats.ttest_ind(means[p.first], means[p.second], equal_var=False).pvalue for p in found]
    assert [p.p for p in found] == pytest.approx(raw)
    order = np.argsort(raw)
    expected = np.empty(3)
    expected[order] = np.minimum(1, np.maximum.accumulate(np.array(raw)[order] * [3, 2, 1]))
    assert [p.adjusted for p in found] == pytest.approx(list(expected))


def test_the_papers_test_is_scipys():
    first, second = [0.1, 0.2, 0.3, 0.4], [0.25, 0.5, 0.6, 0.7]
    expected = stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic").pvalue
    assert compare.papers_test(first, second) == pytest.approx(expected)
    assert compare.papers_test([0.5] * 3, [0.5] * 3) == 1.0


def test_a_correlation_has_an_exact_p_only_beyond_five_methods():
    first = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    tau, p = compare.rank_correlation(first, first)
    assert tau == pytest.approx(1.0)
    assert p == pytest.approx(2 / math.factorial(6))
    tau, p = compare.rank_correlation(first[:5], first[:5])
    assert tau == pytest.approx(1.0)
    assert math.isnan(p)
    assert math.isnan(compare.rank_correlation([1, 2], [1, 2])[0])


def test_fewer_than_three_seeds_are_neither_compared_nor_ranked():
    means = {"a": [0.1, 0.2], "b": [0.1, 0.2, 0.3], "c": [0.8, 0.81, 0.82]}
    found = compare.pairs(means)
    assert [(p.first, p.second) for p in found] == [("b", "c")]
    assert compare.ranks(means, found) == {"b": 2, "c": 1}
