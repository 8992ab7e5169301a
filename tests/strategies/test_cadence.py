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


@pytest.mark.parametrize("unit", ["updates", "epochs", "percent"])
@pytest.mark.parametrize(("updates", "per_epoch"), [(1, 1), (2, 1), (3, 3), (10, 5), (12, 4), (150, 50)])
def test_an_interval_is_refused_before_training_where_it_never_acts_and_nowhere_else(unit, updates, per_epoch):
    """Each interval is tried in a training, update by update."""
    strategy = Stopwatch(updates)
    for every in range(1, 152):
        acts = False
        for update in range(updates):
            strategy.clock = SimpleNamespace(
                train_iterations=update,
                train_exp_epochs=update // per_epoch,
                train_epoch_iterations=update % per_epoch,
            )
            acts |= Cadence("ReDo", every, unit).is_due(strategy)
        length = {"updates": updates, "epochs": updates // per_epoch}
        if acts:
            refuse_idle([Acts(every, unit)], **length)
            continue
        with pytest.raises(ValueError, match=rf"^ReDo would never act: every is {every} {unit}, "):
            refuse_idle([object(), Acts(every, unit)], **length)


@pytest.mark.parametrize(
    ("every", "unit", "words"),
    [
        (10, "updates", "every is 10 updates, and training takes 10 updates; allowed: 1 to 9"),
        (10, "episodes", "every is 10 episodes, and training takes 10 episodes; allowed: 1 to 9"),
        (2, "epochs", "every is 2 epochs, and training takes 2 epochs; allowed: 1 to 1"),
        (95, "percent", "every is 95 percent, and training takes 10 updates; allowed: 1 to 90"),
    ],
)
def test_the_refusal_says_how_long_training_is_and_what_is_allowed(every, unit, words):
    with pytest.raises(ValueError, match=f"^ReDo would never act: {words}$"):
        refuse_idle([Acts(every, unit)], updates=10, epochs=2)


@pytest.mark.parametrize("unit", ["updates", "epochs", "percent"])
def test_a_training_of_one_update_is_too_short_for_any_interval(unit):
    with pytest.raises(ValueError, match=r"training takes 1 (update|epoch); no interval is short enough"):
        refuse_idle([Acts(1, unit)], updates=1, epochs=1)
