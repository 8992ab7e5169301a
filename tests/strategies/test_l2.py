"""L2 and L2 Init: the penalty's gradient, and what it changes in training."""

import pytest
import torch
from support.trained import SGD, train

from zapbench.strategies.l2 import L2, pull


def test_the_pull_is_the_gradient_of_the_squared_distance():
    weight = torch.tensor([[2.0, -1.0]])
    anchor = torch.tensor([[1.0, 1.0]])
    assert pull(weight, anchor, strength=0.5).tolist() == [[1.0, -2.0]]
    assert pull(weight, 0.0, strength=0.25).tolist() == [[1.0, -0.5]]
    weight.requires_grad_()
    (0.3 * (weight - anchor).square().sum()).backward()
    torch.testing.assert_close(pull(weight, anchor, strength=0.3), weight.grad)


@pytest.mark.parametrize("towards", ["initial", "zero"])
@pytest.mark.parametrize("optimizer", [SGD, "adam"])
def test_strong_regularisation_keeps_weights_near_their_anchor(tiny, towards, optimizer):
    plain = train(tiny, None, optimizer=optimizer)
    held = train(tiny, L2(strength=10.0, towards=towards), optimizer=optimizer)
    anchor = (
        plain.before.weights[0] if towards == "initial" else {n: 0.0 * w for n, w in plain.before.weights[0].items()}
    )

    def distance(strategy):
        return sum((w - anchor[n]).square().sum().item() for n, w in strategy.model.named_parameters())

    assert distance(held) < 0.97 * distance(plain)


def test_initial_weights_come_from_the_checkpoint_where_there_is_one():
    plugin = L2(strength=0.1)
    plugin._initial = {"w": torch.ones(2)}
    kept = plugin.state_dict()
    later = L2(strength=0.1)
    later._initial = {"w": torch.zeros(2)}
    later.load_state_dict(kept)
    assert later.state_dict()["w"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("wrong", [{"strength": 0.0}, {"strength": 1.0, "towards": "x"}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"L2: .* allowed"):
        L2(**wrong)
