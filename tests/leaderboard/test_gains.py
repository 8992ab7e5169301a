"""What zapping gains under each head, beside values computed by hand."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from support.made_logs import describe, write

from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.decide.compare import estimate
from zapbench.leaderboard.decide.gains import Gain, Interval, difference_of, gains, share_of
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.gains import gains_lines, heads_figure
from zapbench.transfer.reference import Trajectory

SCORES = {  # strategy, transfer -> per pre-training seed
    ("iid", "sequential"): [0.10, 0.12, 0.11],
    ("iid_zap", "sequential"): [0.50, 0.52, 0.54],
    ("iid", "slda"): [0.60, 0.63, 0.61],
    ("iid_zap", "slda"): [0.70, 0.72, 0.73],
    ("asb", "sequential"): [0.30, 0.50, 0.70],
    ("asb_zap", "sequential"): [0.40, 0.50, 0.72],
    ("asb", "slda"): [0.60, 0.61, 0.62],
    ("asb_zap", "slda"): [0.64, 0.66, 0.65],
    ("oml", "sequential"): [0.70, 0.71, 0.72],
    ("oml_zap", "sequential"): [0.50, 0.52, 0.51],
    ("oml", "slda"): [0.40, 0.42, 0.41],
    ("oml_zap", "slda"): [0.60, 0.61, 0.63],
    ("untrained", "slda"): [0.40, 0.41, 0.42],
}


@pytest.fixture
def logs(tmp_path):
    for (strategy, transfer), scores in SCORES.items():
        learner = "" if transfer == "sequential" else transfer
        for seed, score in enumerate(scores):
            for trial, offset in enumerate((-0.01, 0.01)):
                about = {"learner": learner, "transfer": transfer} if learner else {}
                write(tmp_path, [score + offset], method=strategy, seed=seed, trial=trial, **about)
    return load(tmp_path)


def test_a_gain_is_welchs_difference_and_holm_is_over_all_gains(logs):
    (table,) = tables(logs)
    found = {(gain.strategy, gain.transfer): gain for gain in gains(table, logs)}
    assert set(found) == {(name, head) for name in ("iid", "asb", "oml") for head in ("sequential", "slda")}
    p = {key: stats.ttest_ind(SCORES[key[0] + "_zap", key[1]], SCORES[key], equal_var=False).pvalue for key in found}
    ordered = sorted(p, key=p.get)
    adjusted = np.maximum.accumulate([min(1, p[key] * (6 - place)) for place, key in enumerate(ordered)])
    for key, expected in zip(ordered, adjusted):
        gain = found[key]
        assert gain.p == pytest.approx(expected, rel=1e-4)
        zapped, plain = SCORES[key[0] + "_zap", key[1]], SCORES[key]
        assert gain.difference.value == pytest.approx(np.mean(zapped) - np.mean(plain))
        low, high = stats.ttest_ind(zapped, plain, equal_var=False).confidence_interval(0.95)
        assert (gain.difference.low, gain.difference.high) == (
            pytest.approx(low, abs=1e-5),
            pytest.approx(high, abs=1e-5),
        )


def test_the_share_is_given_only_where_the_reference_gain_is_significant(logs):
    (table,) = tables(logs)
    found = {(gain.strategy, gain.transfer): gain for gain in gains(table, logs)}
    share = found["iid", "slda"].share
    assert share.value == pytest.approx((np.mean([0.70, 0.72, 0.73]) - np.mean([0.60, 0.63, 0.61])) / 0.41)
    assert share.low < share.value < share.high < 1
    assert math.isnan(found["iid", "sequential"].share.value)
    assert found["asb", "sequential"].difference.value > 0
    assert not found["asb", "sequential"].significant
    assert math.isnan(found["asb", "slda"].share.value), "a share of what may be nothing"
    assert found["oml", "sequential"].significant
    assert math.isnan(found["oml", "slda"].share.value), "a share of a loss"


def test_fiellers_interval_covers_the_true_share_in_95_of_100_tables_and_hardly_more():
    generator = np.random.default_rng(0)
    inside, tables_drawn = 0, 2000
    for _ in range(tables_drawn):
        means = []
        for gain_of_part, gain_of_whole in ((0.6, 0.1), (0.72, 0.5)):  # shares of 0.12 / 0.4
            model = generator.normal(0, 0.02, 5)  # a model that is better is so under both heads
            part, whole = (level + model + generator.normal(0, 0.01, 5) for level in (gain_of_part, gain_of_whole))
            means.append((dict(enumerate(part)), dict(enumerate(whole))))
        (plain_part, plain_whole), (zapped_part, zapped_whole) = means
        share = share_of((plain_part, zapped_part), (plain_whole, zapped_whole))
        inside += share.low <= 0.3 <= share.high
    # The interval takes the quantile of 4 degrees of freedom; two pre-trainings that spread alike have 8 together.
    most = 1 - 2 * stats.t.sf(stats.t.ppf(0.975, 4), 8)
    error = 3 * math.sqrt(0.95 * 0.05 / tables_drawn)
    assert 0.95 - error < inside / tables_drawn < most + error


def test_the_share_is_computed_from_the_seeds_that_all_four_share():
    part, whole = (
        ({0: 0.1, 1: 0.2, 2: 0.3}, {0: 0.2, 1: 0.31, 2: 0.4}),
        ({0: 0.1, 1: 0.2, 2: 0.3}, {0: 0.5, 1: 0.61, 2: 0.7}),
    )
    more = ({**part[0], 3: 0.9}, part[1])
    assert share_of(more, whole) == share_of(part, whole)


def test_two_seeds_give_a_difference_and_no_interval():
    found = difference_of([0.1, 0.2], [0.4, 0.6])
    assert found.value == pytest.approx(0.35)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_methods_that_undeclared_bindings_distinguish_are_not_mixed(tmp_path):
    for name, score in (("iid", 0.1), ("iid[IID.lr=1]", 0.3), ("iid_zap", 0.5)):
        for seed in range(3):
            bindings = ["IID.lr = 1"] if "[" in name else []
            about = {"method": name, "seed": seed, "undeclared": bindings}
            write_named(tmp_path, score + 0.01 * seed, **about)
    logs = load(tmp_path)
    (table,) = tables(logs)
    assert len(table.rows) == 3
    (gain,) = gains(table, logs)
    assert (gain.strategy, round(gain.difference.value, 6)) == ("iid", 0.4)  # of the rows that are as shipped


def write_named(folder, score, *, method, seed, undeclared):
    description = dataclasses.replace(describe(method, seed=seed), strategy=method.split("[")[0], bindings=undeclared)
    trajectory = Trajectory(steps=[1], held_out=[score], trained_on=[score], forgetting=[0.0], class_accuracy=[score])
    place = folder / str(abs(hash(method))) / str(seed)
    write_trial(place, description, "gin", trajectory, {contract.SECONDS: 1.0}, Closing(contract.FINISHED))


def test_lines_say_gain_interval_and_share(logs):
    (table,) = tables(logs)
    lines = gains_lines(gains(table, logs))
    assert any("iid" in line and "slda" in line and "+10.3" in line and "25%" in line for line in lines)
    assert any("asb" in line and "not significant" in line for line in lines)


def test_a_loss_is_no_share_of_a_gain():
    none = estimate([0.5])
    loss = Gain("iid", "slda", none, none, Interval(-0.1, -0.12, -0.08), 0.001, Interval(-0.5, -0.6, -0.4))
    assert gains_lines([loss]) == ["iid, slda: zapping adds -10.0 [-12.0, -8.0] points, p = 0.001"]


def test_the_heat_map_holds_every_number(logs):
    (table,) = tables(logs)
    figure = heads_figure(table, logs)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any(text.startswith("41.0") for text in texts)  # untrained under slda
    assert any(text.startswith("+41.0") for text in texts)  # the gain of i.i.d. under sequential


def test_a_variant_with_bindings_or_a_name_of_its_own_is_no_partner(tmp_path):
    for seed, score in enumerate((0.3, 0.31, 0.32)):
        write(tmp_path, [score], method="asb", seed=seed)
        changed = {"strategy": "asb_zap", "bindings": ("ASB.inner_lr = 9",), "config_hash": "other"}
        write(tmp_path, [score + 0.2], method="asb_zap[ASB.inner_lr=9]", seed=seed, **changed)
        write(tmp_path, [score + 0.1], method="mine", strategy="asb_zap", config_hash="mine", seed=seed)
    logs = load(tmp_path)
    (table,) = tables(logs)
    assert len(table.rows) == 3
    assert gains(table, logs) == []
