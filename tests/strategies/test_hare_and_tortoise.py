"""Hare and Tortoise: the running mean, when the hare is set back, and which of them training ends with."""

import pytest
import torch
from support.trained import SGD, changed, train

from zapbench.strategies.hare_and_tortoise import HareAndTortoise, follow


def test_the_tortoise_moves_a_part_of_the_way():
    slow = torch.tensor([4.0, 0.0])
    follow(slow, torch.tensor([0.0, 1.0]), momentum=0.75)
    assert slow.tolist() == [3.0, 0.25]


@pytest.mark.parametrize("optimizer", ["adam", SGD])
def test_the_hare_becomes_the_tortoise_at_the_interval(tiny, optimizer):
    strategy = train(tiny, HareAndTortoise(every=4, momentum=0.5), optimizer=optimizer)
    assert [update for update, names in enumerate(changed(strategy)) if names] == [4, 8]
    hare = [seen["head.weight"] for seen in strategy.before.weights]
    by_hand = hare[0].clone()
    for update in range(1, 5):
        by_hand = 0.5 * by_hand + 0.5 * hare[update]
    torch.testing.assert_close(strategy.after.weights[4]["head.weight"], by_hand)


def test_training_ends_with_the_tortoise_or_the_hare(tiny):
    plain = train(tiny, None).model.head.weight
    hare = train(tiny, HareAndTortoise(every=100, momentum=0.5, result="hare")).model.head.weight
    tortoise = train(tiny, HareAndTortoise(every=100, momentum=0.5)).model.head.weight
    assert torch.equal(plain, hare)
    assert not torch.equal(plain, tortoise)


@pytest.mark.parametrize("wrong", [{"momentum": 1.0}, {"momentum": -0.1}, {"result": "x"}, {"every": 0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^Hare and Tortoise: .* allowed: [^\n]*$"):
        HareAndTortoise(**({"every": 1} | wrong))
