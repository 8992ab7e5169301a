"""Hare and Tortoise: the running mean, when the hare is set back, and which of them training ends with."""

import pytest
import torch
from support.trained import SGD, changed, train
from torch import nn

from zapbench.networks.classifier import Classifier, new_head
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


def test_running_statistics_are_averaged_and_set_back_with_the_weights(tiny):
    class Watch(HareAndTortoise):
        """Keeps the hare's running mean after each update, and what it was set back to."""

        def before_training_exp(self, strategy, *args, **kwargs):
            super().before_training_exp(strategy)
            strategy.hare = [strategy.model.encoder[1].running_mean.clone()]

        def before_training_iteration(self, strategy, *args, **kwargs):
            super().before_training_iteration(strategy)
            if strategy.clock.train_iterations == 4:
                strategy.set_back = strategy.model.encoder[1].running_mean.clone()

        def after_training_iteration(self, strategy, *args, **kwargs):
            strategy.hare.append(strategy.model.encoder[1].running_mean.clone())
            super().after_training_iteration(strategy)

    encoder = nn.Sequential(nn.Conv2d(1, 3, 9, stride=6), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    model = Classifier(encoder, new_head(48, 6), name="batch norm")
    strategy = train(tiny, Watch(every=4, momentum=0.5), model=model)
    by_hand = strategy.hare[0]
    for update, mean in enumerate(strategy.hare[1:], start=1):
        by_hand = 0.5 * by_hand + 0.5 * mean
        if update == 4:
            torch.testing.assert_close(strategy.set_back, by_hand)
    torch.testing.assert_close(model.encoder[1].running_mean, by_hand)
    assert not torch.allclose(by_hand, strategy.hare[-1])
    assert model.encoder[1].num_batches_tracked == 9


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
