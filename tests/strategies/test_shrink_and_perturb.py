"""Shrink and perturb: what becomes of weights, of the optimiser's state, and when."""

import pytest
import torch
from torch import nn

from zapbench.networks.classifier import Classifier, convnet, new_head
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.strategies.iid import IID
from zapbench.strategies.shrink_and_perturb import ShrinkAndPerturb, shrink_and_perturb


def test_weights_shrink_and_a_part_of_fresh_ones_is_added():
    weights = [torch.tensor([2.0, -4.0]), torch.tensor([[1.0]])]
    shrink_and_perturb(weights, [torch.tensor([1.0, 1.0]), torch.tensor([[-2.0]])], shrink=0.4, noise=0.1)
    torch.testing.assert_close(weights[0], torch.tensor([0.9, -1.5]))
    torch.testing.assert_close(weights[1], torch.tensor([[0.2]]))


def test_networks_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        shrink_and_perturb([torch.ones(1), torch.ones(1)], [torch.ones(1)], shrink=0.4, noise=0.1)


def sevens(*, outputs, channels, size):
    """A network whose fresh weights are known: 7 in the encoder, 3 in the head."""
    model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, 5)), new_head(5, outputs), name="7")
    for parameter in model.parameters():
        nn.init.constant_(parameter, 7.0)
    for parameter in model.head.parameters():
        nn.init.constant_(parameter, 3.0)
    return model


class Watch(ShrinkAndPerturb):
    """Keeps weights and the number of optimised tensors with a state, before and after."""

    def before_training_iteration(self, strategy, *args, **kwargs):
        def now():
            return [p.detach().clone() for p in strategy.model.parameters()], len(strategy.optimizer.state)

        before, state = now()
        super().before_training_iteration(strategy)
        after, left = now()
        strategy.seen.append((before, after, state - left))


def train(tiny, plugin, model):
    strategy = IID(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        epochs=3,
        batch_size=8,
        plugins=[plugin],
        evaluator=silent_evaluator(),
    )
    strategy.seen = []
    strategy.train(pretraining_experience(tiny.tensor(), tiny.pretraining(0).train), eval_streams=[])
    return strategy


def test_at_its_cadence_the_whole_network_is_perturbed_and_the_optimizer_state_cleared(tiny):
    strategy = train(tiny, Watch(model=sevens, every=4), sevens(outputs=6, channels=1, size=28))
    assert len(strategy.seen) == 9
    for update, (before, after, forgotten) in enumerate(strategy.seen):
        due = update in (4, 8)
        assert forgotten == (4 if due else 0)
        for old, new, fresh in zip(before, after, (7.0, 7.0, 3.0, 3.0)):
            torch.testing.assert_close(new, 0.4 * old + 0.1 * fresh if due else old)


def test_the_head_alone_may_be_perturbed(tiny):
    plugin = Watch(model=sevens, every=4, shrink=0.5, noise=1.0, part="head")
    before, after, forgotten = train(tiny, plugin, sevens(outputs=6, channels=1, size=28)).seen[4]
    assert forgotten == 2
    assert torch.equal(before[0], after[0])
    torch.testing.assert_close(after[2], 0.5 * before[2] + 3.0)


def test_fresh_draws_are_the_networks_own_differ_from_time_to_time_and_leave_global_draws_alone(tiny):
    def narrow(**sizes):
        return convnet(filters=4, **sizes)

    def run(seed):
        torch.manual_seed(0)
        model = narrow(outputs=6, channels=1, size=28)
        state = torch.random.get_rng_state()
        found = train(tiny, Watch(model=narrow, every=4, shrink=0.0, noise=1.0, seed=seed), model).seen
        return found[4][1], found[8][1], torch.equal(torch.random.get_rng_state(), state)

    fourth, eighth, untouched = run(0)
    assert untouched
    assert (fourth[1].abs() <= 1 / 3).all(), "PyTorch's default: a bias of nine inputs is within a third"
    assert (fourth[2] == 1).all(), "norms"
    assert not torch.equal(fourth[0], eighth[0])
    assert all(torch.equal(a, b) for a, b in zip(fourth, run(0)[0]))
    assert not torch.equal(fourth[0], run(1)[0][0])


@pytest.mark.parametrize("wrong", [{"shrink": 1.1}, {"noise": -1}, {"part": "x"}, {"every": 0}, {"unit": "days"}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"shrink and perturb: .* allowed"):
        ShrinkAndPerturb(**({"model": sevens, "every": 1} | wrong))
