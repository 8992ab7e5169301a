"""Equal scores: the lowest output wins, in every engine, among all outputs and among the classes seen."""

from functools import partial

import pytest
import torch

from zapbench.transfer.fast import fast_engine_for
from zapbench.transfer.features import Features
from zapbench.transfer.metrics import predicts
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import sequential_transfer
from zapbench.transfer.reference import run_trial


def test_a_label_is_predicted_where_an_argmax_finds_it():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 3, (500, 6), generator=generator).float()  # many ties
    labels = torch.randint(0, 6, (500,), generator=generator)
    own = scores.gather(1, labels[:, None])[:, 0]
    assert (own >= scores.amax(1)).sum() > (scores.argmax(1) == labels).sum(), "there are ties to decide"
    assert torch.equal(predicts(scores, labels, own), scores.argmax(1) == labels)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [(torch.optim.SGD, 1e-12), (partial(torch.optim.SGD, momentum=0.9), 1e-12), (torch.optim.Adam, 1e-12)],
    ids=["sgd", "momentum", "adam"],
)
def test_a_fast_engine_decides_ties_as_the_plain_loop_does(tiny, optimizer, rate):
    class Nothing(torch.nn.Module):
        def forward(self, images):
            return torch.zeros(len(images), 7)

    protocol = sequential_transfer()
    features = Features(Nothing(), tiny.tensor(), torch.arange(len(tiny.images.labels)))
    trial = tiny.trial(0, 0)

    def plan():
        model = torch.nn.Module()
        model.head = torch.nn.Linear(7, 10)
        head = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), features)
        torch.nn.init.ones_(head.bias)  # which steps of 1e-12 leave as they are: all outputs stay equal
        return TrialPlan(trial, head, protocol, optimizer, rate, protocol.points(len(trial.labels), "report"))

    engine = fast_engine_for(protocol, optimizer, features, {rate})
    (fast,) = engine.transfer(features, [plan()], lambda: None)
    plain = run_trial(features, plan())
    assert max(plain.held_out) < 1
    assert fast.held_out == plain.held_out
    assert fast.trained_on == plain.trained_on
    assert fast.held_out_seen == plain.held_out_seen
