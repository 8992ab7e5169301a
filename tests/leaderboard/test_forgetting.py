"""Metrics of a table of correct predictions, by hand."""

import numpy as np
import pytest

from zapbench.leaderboard.read.forgetting import (
    accuracies,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    learning_accuracy,
    retention_by_age,
    tenths,
)

COUNTS = np.array([[4, 0, 0], [3, 4, 0], [1, 4, 2]])
"""Of four held-out images: the first class is forgotten step by step, the second is not, the third is half learned."""
STEPS = [1, 2, 3]


@pytest.fixture
def table():
    return accuracies(COUNTS, STEPS, 4)


def test_a_class_that_is_not_learned_yet_has_no_accuracy(table):
    expected = [[1.0, np.nan, np.nan], [0.75, 1.0, np.nan], [0.25, 1.0, 0.5]]
    np.testing.assert_array_equal(table, expected)


def test_metrics_by_hand(table):
    assert learning_accuracy(table, STEPS) == pytest.approx((1.0 + 1.0 + 0.5) / 3)
    assert backward_transfer(table, STEPS) == pytest.approx(((0.25 - 1.0) + (1.0 - 1.0)) / 2)
    assert forgetting(table, STEPS) == pytest.approx(((1.0 - 0.25) + (1.0 - 1.0)) / 2)
    assert average_incremental_accuracy(table, STEPS) == pytest.approx((1.0 + 1.75 / 2 + 1.75 / 3) / 3)
    assert retention_by_age(table) == [0.5, 1.0, 0.25]
    assert retention_by_age(table, groups=2) == [0.75, 0.25]


def test_what_gets_better_has_negative_forgetting_and_positive_backward_transfer():
    table = accuracies(np.array([[1, 0], [3, 4]]), [1, 2], 4)
    assert forgetting(table, [1, 2]) == -0.5
    assert backward_transfer(table, [1, 2]) == 0.5


def test_no_value_depends_on_how_often_a_trial_was_measured():
    """Of 40 classes, measured after each and after every fourth: what can be computed of both is the same."""
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 6, (40, 40))
    every, fourth = list(range(1, 41)), list(range(4, 41, 4))
    often, seldom = accuracies(counts, every, 5), accuracies(counts[3::4], fourth, 5)
    for metric in (forgetting, average_incremental_accuracy):
        assert metric(often, every) == metric(seldom, fourth)
    assert retention_by_age(often) == retention_by_age(seldom)
    for metric in (learning_accuracy, backward_transfer):
        with pytest.raises(ValueError, match="not measured after 1 classes \\(30 of 40 points are missing\\)"):
            metric(seldom, fourth)


def test_a_trial_that_was_not_measured_at_the_fixed_points_has_no_such_metric():
    steps = [25, 50, 75, 100]
    table = accuracies(np.ones((4, 100), dtype=int), steps, 5)
    for metric in (forgetting, average_incremental_accuracy):
        with pytest.raises(ValueError, match="not measured after 10 classes \\(8 of 10 points are missing\\)"):
            metric(table, steps)


def test_classes_learned_after_the_last_but_one_point_have_not_been_forgotten_yet():
    steps = tenths(20)
    counts = np.zeros((10, 20), dtype=int)
    counts[:, :18] = 5
    counts[-1, :9] = 0
    assert forgetting(accuracies(counts, steps, 5), steps) == 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: accuracies(COUNTS, [1, 2], 4), "counts of shape \\(3, 3\\) at 2 points"),
        (lambda: accuracies(COUNTS, STEPS, 3), "counts reach from 0 to 4 of 3 images"),
        (lambda: backward_transfer(accuracies(np.array([[1]]), [1], 4), [1]), "takes two classes"),
        (lambda: forgetting(accuracies(np.array([[1]]), [1], 4), [1]), "takes two points"),
    ],
)
def test_what_has_no_value_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()
