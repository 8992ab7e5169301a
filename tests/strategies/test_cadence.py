"""Intervals: when an action is due, and trainings that are too short for one."""

import pytest

from zapbench.strategies.cadence import Cadence, refuse_idle


class Acts:
    def __init__(self, every, unit="updates"):
        self.cadence = Cadence("ReDo", every, unit)


@pytest.mark.parametrize(
    ("every", "unit", "acts"), [(9, "updates", True), (10, "updates", False), (2, "epochs", False)]
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
