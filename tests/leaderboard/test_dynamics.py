"""Shock, recovery and interference: numbers by hand."""

import math

import numpy as np
import pytest

from zapbench.leaderboard.decide.dynamics import changes, dynamics, interference, shock

NAN = math.nan
# Three classes. The first falls from 0.8 to 0.2 and back to 0.5, the second from 0.6 to 0.4.
TABLE = np.array([[0.8, NAN, NAN], [0.2, 0.6, NAN], [0.5, 0.4, 1.0]])


@pytest.mark.parametrize(
    ("curve", "depth", "recovery"),
    [
        ([0.5, 0.5, 0.7], 0.0, 0),
        ([0.5], 0.0, 0),
        ([1.0, 0.5, 0.25, 0.5, 1.0, 0.0], 0.75, 2),
        ([1.0, 0.5, 0.75, 0.0], 0.5, None),
        ([0.25, 0.75, 0.5, 0.5, 0.75], 0.25, 2),
        ([1.0, 0.0], 1.0, None),
    ],
)
def test_the_first_drop_ends_where_the_curve_rises_and_recovery_is_counted_from_its_bottom(curve, depth, recovery):
    assert shock(curve) == (depth, recovery)


def test_changes_are_those_since_the_point_before():
    found = changes(TABLE)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], [[-0.6, NAN, NAN], [0.3, -0.2, NAN]])


def test_interference_is_the_mean_change_of_classes_before_and_its_falls_and_rises():
    found = interference(TABLE, [1, 2, 3])
    assert found.earlier == pytest.approx((-0.6 + 0.3 - 0.2) / 3)
    assert found.falls == pytest.approx((-0.6 - 0.2) / 3)
    assert found.rises == pytest.approx(0.3 / 3)
    assert math.isnan(found.to_come), "accuracies of classes to come are not recorded"


def test_classes_to_come_count_where_they_were_measured():
    losses = -np.array([[0.1, 3.0, 3.0], [0.3, 0.2, 3.5], [0.3, 0.3, 0.1]])
    found = interference(losses, [1, 2, 3])
    assert found.to_come == pytest.approx(-0.5), "the third class, while the second was learned"
    assert found.earlier == pytest.approx((-0.2 + 0.0 - 0.1) / 3)


def test_a_trials_dynamics_are_means_over_its_classes():
    found = dynamics(TABLE, [1, 2, 3])
    assert found.depth == pytest.approx((0.6 + 0.2) / 2)
    assert found.recovered == 0.0
    assert math.isnan(found.recovery)
    back = np.array([[0.5, NAN, NAN], [0.25, 1.0, NAN], [0.5, 1.0, 1.0]])
    assert dynamics(back, [1, 2, 3])[:3] == (0.125, 1.0, 1.0)


def test_a_trial_that_was_not_measured_after_every_class_is_refused():
    with pytest.raises(
        ValueError, match=r"measured at 2 points of 3 classes; dynamics takes a point after every class"
    ):
        dynamics(TABLE[[0, 2]], [1, 3])
    with pytest.raises(ValueError, match="two classes"):
        dynamics(TABLE[:1, :1], [1])
