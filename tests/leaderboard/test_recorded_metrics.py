"""Columns of what trials recorded: by hand, and never of two cadences side by side."""

import math

import pytest
from support.made_logs import FACTS, write

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.columns import columns_of

SEQUENCE = FACTS | {"classes_per_trial": 3, "protocol": "sequential", "images_held_out": 4}
COUNTS = [[4, 0, 0], [3, 4, 0], [1, 4, 2]]
CURVE = [1.0, 0.875, 7 / 12]
LABELS = {"learning accuracy %", "backward transfer", "newest tenth %", "oldest tenth %"}


def only(folder):
    (table,) = tables(load(folder))
    return table


def test_metrics_of_a_row_are_those_of_its_trials_by_hand(tmp_path):
    for seed in range(3):
        write(tmp_path, CURVE, facts=SEQUENCE, seed=seed, correct=COUNTS)
    (row,) = only(tmp_path).rows
    assert row.learning_accuracy == pytest.approx((1 + 1 + 0.5) / 3)
    assert row.backward_transfer == pytest.approx(((0.25 - 1) + 0) / 2)
    assert row.forgetting_at_tenths == pytest.approx((0.75 + 0) / 2)
    assert (row.retention_newest, row.retention_oldest) == (0.5, 0.25)
    assert row.average_incremental == pytest.approx(sum(CURVE) / 3, rel=1e-6)


def test_requested_columns_are_shown_on_request_alone(tmp_path):
    write(tmp_path, CURVE, facts=SEQUENCE, correct=COUNTS)
    table = only(tmp_path)
    usual, every = ({c.label for c in columns_of(table, every=flag)} for flag in (False, True))
    assert every >= LABELS
    assert not LABELS & usual
    assert "forgetting %" in usual
    assert "forgetting (curve) %" not in usual  # that of the counts stands in its place


def test_a_diverged_trial_leaves_no_metric_of_the_others_alone(tmp_path):
    write(tmp_path, CURVE, facts=SEQUENCE, correct=COUNTS)
    write(tmp_path, [], facts=SEQUENCE, trial=1, status=contract.DIVERGED)
    (row,) = only(tmp_path).rows
    assert math.isnan(row.learning_accuracy)


def measured_every(folder, step, *, method):
    """Forty classes; the curve is of the fixed points where `step` is 1 or 4."""
    steps = list(range(step, 41, step))
    write(folder, [1 - 0.01 * s for s in steps], method=method, steps=steps)


def test_forgetting_of_two_cadences_shares_no_column_and_the_note_says_why(tmp_path):
    measured_every(tmp_path, 1, method="often")
    measured_every(tmp_path, 4, method="seldom")
    table = only(tmp_path)
    assert all(math.isnan(row.forgetting) for row in table.rows)
    assert "forgetting (curve) %" not in {c.label for c in columns_of(table, every=True)}
    text = "forgetting over the measured points is not shown, for these differ; number of points"
    assert f"{text}: often (40), seldom (10)" in table.notes


def test_the_average_over_fixed_points_does_not_depend_on_the_cadence(tmp_path):
    measured_every(tmp_path, 1, method="often")
    measured_every(tmp_path, 4, method="seldom")
    measured_every(tmp_path, 10, method="rarely")  # not after each tenth of 40
    values = {row.method: row.average_incremental for row in only(tmp_path).rows}
    assert values["often"] == pytest.approx(1 - 0.01 * 22)
    assert values["seldom"] == values["often"]
    assert math.isnan(values["rarely"])


def test_one_cadence_keeps_the_curves_forgetting_and_the_end_alone_has_none(tmp_path):
    measured_every(tmp_path, 4, method="a")
    measured_every(tmp_path, 4, method="b")
    measured_every(tmp_path, 40, method="end")
    found = {row.method: row.forgetting for row in only(tmp_path).rows}
    assert (found["a"], found["b"]) == (0.0, 0.0)
    assert math.isnan(found["end"])
