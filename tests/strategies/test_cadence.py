"""Intervals: when an action is due, and trainings that are too short for one."""

from types import SimpleNamespace

import pytest

from zapbench.strategies.cadence import Cadence, refuse_idle


class Stopwatch:
    """A strategy with a training of so many updates."""

    train_epochs, train_mb_size = 1, 1

    def __init__(self, updates):
        self.clock = SimpleNamespace(train_iterations=0)
        self.experience = SimpleNamespace(dataset=range(updates))


@pytest.mark.parametrize(
    ("every", "updates", "expected"), [(20, 10, [2, 4, 6, 8]), (33, 10, [4, 7]), (50, 3, [2]), (10, 4, [1, 2, 3])]
)
def test_an_interval_in_percent_divides_any_training_alike(every, updates, expected):
    strategy, due = Stopwatch(updates), []
    for update in range(updates):
        strategy.clock.train_iterations = update
        if Cadence("DASH", every, "percent").is_due(strategy):
            due.append(update)
    assert due == expected


class Acts:
    def __init__(self, every, unit="updates"):
        self.cadence = Cadence("ReDo", every, unit)


@pytest.mark.parametrize(
    ("every", "unit", "acts"),
    [(9, "updates", True), (10, "updates", False), (2, "epochs", False), (100, "percent", False)],
)
def test_an_interval_longer_than_the_training_is_refused_in_one_line(every, unit, acts):
    """10 updates in 2 epochs: the last action is due before update 10, or before the second epoch."""
    assert Cadence("ReDo", every, unit).acts_in(updates=10, epochs=2) == acts
    if acts:
        refuse_idle([Acts(every, unit)], updates=10, epochs=2)
        return
    with pytest.raises(ValueError, match=rf"^ReDo would never act: every is {every} {unit}, and training takes \d+; "):
        refuse_idle([object(), Acts(every, unit)], updates=10, epochs=2)


def test_a_training_of_one_update_is_too_short_for_any_interval():
    with pytest.raises(ValueError, match="training takes 1; no interval is short enough"):
        refuse_idle([Acts(1)], updates=1, epochs=1)
