"""RIFLE: when the head is re-initialised, and the learning rates of head and encoder."""

import math

import pytest
import torch
from avalanche.training.supervised import Naive

from zapbench.networks.classifier import convnet
from zapbench.seeding import seed_global_state
from zapbench.strategies.rifle import RIFLE, cosine, period_starts
from zapbench.transfer.avalanche import rehearse, run_strategy
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import iid_transfer, sequential_transfer


@pytest.mark.parametrize(
    ("epochs", "resets", "expected"), [(40, 1, [0, 20]), (5, 1, [0, 2]), (5, 2, [0, 1, 3]), (5, 4, [0, 1, 2, 3, 4])]
)
def test_periods_are_equal_or_the_last_is_the_longest(epochs, resets, expected):
    assert period_starts(epochs, resets) == expected


def test_a_rate_falls_along_a_cosine():
    assert [cosine(done, 4) for done in range(5)] == pytest.approx(
        [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4, 0]
    )


class Watch(RIFLE):
    """Keeps, by epoch, the rates below and of the head, and which parts changed before its first update."""

    def before_training_epoch(self, strategy, *args, **kwargs):
        model = strategy.model
        before = [p.detach().clone() for p in model.parameters()]
        super().before_training_epoch(strategy)
        changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters())]
        rates = [group["lr"] for group in strategy.optimizer.param_groups]
        held = strategy.optimizer.state[model.head.weight].get("momentum_buffer", torch.ones(1)).any().item()
        strategy.seen.append((rates, any(changed[:-2]), changed[-2], held))
        strategy.head_weights.append(model.head.weight.detach().clone())


def learn(tiny, plugin, *, epochs=5, seed=0):
    torch.manual_seed(0)
    model = convnet(outputs=6, channels=1, size=28, filters=4)
    protocol = iid_transfer(epochs=epochs, batch_size=10, learner="rifle")
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), tiny.tensor())
    made = []

    def factory(**kwargs):
        made.append(Naive(plugins=[plugin], **kwargs))
        made[0].seen, made[0].head_weights = [], []
        return made[0]

    seed_global_state("contender", seed)
    found = run_strategy(
        factory,
        tiny.tensor(),
        TrialPlan(
            tiny.trial(0, 0),
            learner,
            protocol,
            optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
            rate=0.02,
            points=[1, 2 * epochs],
            order=torch.Generator(),
        ),
    )
    assert found.steps == [1, 2 * epochs]
    return made[0]


def test_the_head_alone_is_re_initialised_at_the_start_of_each_period(tiny):
    strategy = learn(tiny, Watch(resets=1))
    assert [seen[1:] for seen in strategy.seen] == [(False, epoch == 2, True) for epoch in range(5)]
    drawn = strategy.head_weights[2]
    assert drawn.std().item() == pytest.approx(math.sqrt(2 / drawn.shape[1]), rel=0.15)
    assert all(torch.equal(a, b) for a, b in zip(strategy.head_weights, learn(tiny, Watch()).head_weights))
    assert not torch.equal(drawn, learn(tiny, Watch(), seed=1).head_weights[2])


def test_moments_of_the_head_may_be_cleared_with_it(tiny):
    assert [seen[3] for seen in learn(tiny, Watch(moments="clear")).seen] == [True, True, False, True, True]


def test_the_heads_rate_starts_again_with_each_period_while_that_below_falls_all_along(tiny):
    below, head = zip(*(seen[0] for seen in learn(tiny, Watch(resets=1)).seen))
    assert below == pytest.approx([0.02 * (1 + math.cos(math.pi * epoch / 5)) / 2 for epoch in range(5)])
    assert head == pytest.approx([0.02, 0.01, 0.02, 0.015, 0.005])
    below, head = zip(*(seen[0] for seen in learn(tiny, Watch(rates="cosine")).seen))
    assert head == below


def test_both_groups_together_hold_each_weight_once(tiny):
    strategy = learn(tiny, Watch())
    below, head = (group["params"] for group in strategy.optimizer.param_groups)
    assert [id(p) for p in head] == [id(p) for p in strategy.model.head.parameters()]
    assert [id(p) for p in below] == [id(p) for p in strategy.model.encoder.parameters()]


def test_more_resets_than_epochs_and_frozen_transfer_are_refused(tiny):
    with pytest.raises(ValueError, match=r"resets is 5; allowed: 1 to 4 \(epochs - 1\)"):
        learn(tiny, Watch(resets=5))
    head = torch.nn.Linear(36, 10)
    inputs = torch.zeros(96, 36).__getitem__
    for protocol in (iid_transfer(frozen=True, learner="rifle"), sequential_transfer(learner="rifle")):
        plan = TrialPlan(tiny.trial(0, 0), head, protocol, torch.optim.Adam, 0.001, [])
        with pytest.raises(ValueError, match="RIFLE: transfer is frozen"):
            rehearse(lambda **kwargs: Naive(plugins=[RIFLE()], **kwargs), inputs, plan)


@pytest.mark.parametrize("wrong", [{"rates": "x"}, {"moments": "x"}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"RIFLE: .* allowed"):
        RIFLE(**wrong)


def test_unfrozen_transfer_of_the_head_alone_is_refused_as_frozen_transfer_is(tiny):
    protocol = iid_transfer(epochs=4, layers=1, learner="x")
    model = convnet(outputs=6, channels=1, size=28, filters=4)
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), tiny.tensor())
    plan = TrialPlan(tiny.trial(0, 0), learner, protocol, torch.optim.Adam, 0.001, [])
    with pytest.raises(ValueError, match="RIFLE: transfer is frozen"):
        rehearse(lambda **kwargs: Naive(plugins=[RIFLE()], **kwargs), tiny.tensor(), plan)
