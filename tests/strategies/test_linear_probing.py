"""LP-FT: which layers learn in which epoch, and with which rate."""

from itertools import pairwise

import pytest
import torch
from avalanche.training.supervised import Naive
from support.trained import narrow

from zapbench.scenarios.scenario import Scenario
from zapbench.strategies.linear_probing import LinearProbing
from zapbench.transfer.avalanche import rehearse, run_strategy
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import iid_transfer, sequential_transfer


class Watch(LinearProbing):
    """Keeps, at the start of each epoch, the weights, the rate and the optimiser's states."""

    def before_training_epoch(self, strategy, *args, **kwargs):
        super().before_training_epoch(strategy)
        weights = [p.detach().clone() for p in strategy.model.parameters()]
        strategy.seen.append((weights, strategy.optimizer.param_groups[0]["lr"], len(strategy.optimizer.state)))


def learn(tiny: Scenario, plugin, optimizer=torch.optim.Adam):
    torch.manual_seed(0)
    protocol = iid_transfer(epochs=4, batch_size=10, learner="lp_ft")
    model = narrow(outputs=6, channels=1, size=28)
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), tiny.tensor())
    made = []

    def factory(**kwargs):
        made.append(Naive(plugins=[plugin], **kwargs))
        made[0].seen = []
        return made[0]

    plan = TrialPlan(tiny.trial(0, 0), learner, protocol, optimizer, 0.02, [8], torch.Generator())
    assert not run_strategy(factory, tiny.tensor(), plan).diverged
    return made[0]


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_the_head_learns_first_and_then_all_layers_do(tiny, optimizer):
    seen = learn(tiny, Watch(epochs=2, factor=0.1), optimizer).seen
    changed = [[not torch.equal(a, b) for a, b in zip(one[0], two[0])] for one, two in pairwise(seen)]
    layers = len(seen[0][0])
    assert changed[0] == changed[1] == [False] * (layers - 2) + [True] * 2
    assert all(changed[2][place] for place in (0, 4, 8, layers - 2)), "weights of convolutions and of the head"
    assert [rate for _, rate, _ in seen] == pytest.approx([0.02, 0.02, 0.002, 0.002])
    assert seen[2][2] == 0, "fine-tuning has an optimiser of its own"


def test_a_part_as_long_as_transfer_and_frozen_transfer_are_refused(tiny):
    with pytest.raises(ValueError, match=r"epochs is 4; allowed: 1 to 3 \(epochs of transfer - 1\)"):
        learn(tiny, Watch(epochs=4))
    head = torch.nn.Linear(36, 10)
    inputs = torch.zeros(96, 36).__getitem__
    for protocol in (iid_transfer(frozen=True, learner="lp_ft"), sequential_transfer(learner="lp_ft")):
        plan = TrialPlan(tiny.trial(0, 0), head, protocol, torch.optim.Adam, 0.001, [])
        with pytest.raises(ValueError, match="LP-FT: transfer is frozen"):
            rehearse(lambda **kwargs: Naive(plugins=[LinearProbing()], **kwargs), inputs, plan)


def test_an_impossible_factor_is_refused_in_words():
    with pytest.raises(ValueError, match=r"LP-FT: factor is 0.* allowed"):
        LinearProbing(factor=0.0)


def test_unfrozen_transfer_of_the_head_alone_is_refused_as_frozen_transfer_is(tiny):
    protocol = iid_transfer(epochs=4, layers=1, learner="x")
    model = narrow(outputs=6, channels=1, size=28)
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), tiny.tensor())
    plan = TrialPlan(tiny.trial(0, 0), learner, protocol, torch.optim.Adam, 0.001, [])
    with pytest.raises(ValueError, match="LP-FT: transfer is frozen"):
        rehearse(lambda **kwargs: Naive(plugins=[LinearProbing()], **kwargs), tiny.tensor(), plan)
