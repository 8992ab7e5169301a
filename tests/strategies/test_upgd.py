"""UPGD: steps by hand, noise from the seed, and what an interrupted training resumes to."""

import math

import pytest
import torch

from zapbench.strategies.upgd import UPGD, protection


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_useful_weights_are_protected():
    scaled = protection(torch.tensor([2.0, 0.0, -2.0]), torch.tensor(2.0))
    assert scaled.tolist() == pytest.approx([sigmoid(1), 0.5, sigmoid(-1)])
    assert protection(torch.zeros(2), torch.tensor(0.0)).tolist() == [0.5, 0.5]


def test_two_steps_without_noise_by_hand():
    """Without a running mean (decay 0), utilities are -gradient * weight, scaled by the largest over all weights."""
    one, other = torch.tensor([2.0]), torch.tensor([1.0])
    optimizer = UPGD([one, other], lr=0.5, decay=0.0, sigma=0.0, weight_decay=0.1)
    one.grad, other.grad = torch.tensor([-3.0]), torch.tensor([-1.0])
    optimizer.step()
    assert one.item() == pytest.approx(2 * 0.95 + 0.5 * 3 * (1 - sigmoid(6 / 6)))
    assert other.item() == pytest.approx(1 * 0.95 + 0.5 * 1 * (1 - sigmoid(1 / 6)))


def test_the_running_mean_is_corrected_and_the_largest_one_is_not():
    weight = torch.tensor([1.0, 2.0])
    optimizer = UPGD([weight], lr=1.0, decay=0.5, sigma=0.0)
    weight.grad = torch.tensor([-1.0, -1.0])
    optimizer.step()  # utilities 0.5 and 1, corrected 1 and 2, largest 1
    assert weight.tolist() == pytest.approx([1 + 1 - sigmoid(1), 2 + 1 - sigmoid(2)])


def stepped(steps, seed, kept=None):
    weight = torch.ones(50)
    optimizer = UPGD([weight], lr=0.1, decay=0.0, sigma=1.0, seed=seed)
    if kept:
        weight.copy_(kept[0])
        optimizer.load_state_dict(kept[1])
    for _ in range(steps):
        weight.grad = torch.full((50,), -0.1)
        optimizer.step()
    return weight, optimizer.state_dict()


def test_noise_depends_on_seed_and_step_alone_so_that_training_resumes_to_the_same_bits():
    state = torch.random.get_rng_state()
    whole, _ = stepped(4, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state), "global draws are left alone"
    resumed, _ = stepped(2, seed=1, kept=stepped(2, seed=1))
    assert torch.equal(whole, resumed)
    assert not torch.equal(whole, stepped(4, seed=2)[0])
    assert whole.std() > 0.05, "the noise moves weights whose gradients are equal"


def test_weights_without_a_gradient_stay_and_a_closure_is_called():
    weight, still = torch.ones(1), torch.ones(1)
    optimizer = UPGD([weight, still], lr=0.1, decay=0.0, sigma=0.0)
    assert optimizer.step() is None
    weight.grad = -torch.ones(1)
    assert optimizer.step(lambda: 3.0) == 3.0
    assert weight.item() > 1
    assert still.item() == 1


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"decay": 1.0}, {"sigma": -1}, {"weight_decay": -1}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^UPGD: .* allowed: [^\n]*$"):
        UPGD([torch.ones(1)], **wrong)
