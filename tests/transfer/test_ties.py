"""Equal scores: the lowest output wins, in every engine, among all outputs and among the classes seen."""

from functools import partial

import numpy as np
import pytest
import torch

from zapbench.transfer.fast import fast_engine_for
from zapbench.transfer.features import Features
from zapbench.transfer.metrics import judge
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.predictions import predictions
from zapbench.transfer.protocol import sequential_transfer
from zapbench.transfer.reference import run_trial


def test_a_label_is_predicted_where_an_argmax_finds_it():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 3, (500, 6), generator=generator).float()  # many ties
    labels = torch.randint(0, 6, (500,), generator=generator)
    labels[labels == 2] = 5
    seen = torch.tensor([0, 1, 3, 4, 5])  # not 2
    among = torch.ones(6, dtype=torch.int32)
    among[2] = 0
    right, right_seen = np.zeros((2, 500), np.bool_)
    predictions(scores.numpy(), labels.numpy(), among.numpy(), right, right_seen)
    expected, expected_seen, _ = judge(scores, labels, seen, losses=False)
    own = scores.gather(1, labels[:, None])[:, 0]
    assert (own >= scores.amax(1)).sum() > expected.sum(), "there are ties to decide"
    assert (expected_seen != expected).any(), "the output that is not seen is the largest somewhere"
    assert (right == expected.numpy()).all()
    assert (right_seen == expected_seen.numpy()).all()


def test_a_score_that_is_not_a_number_is_above_the_labels():
    scores = np.array([[0.0, 1.0, np.nan], [np.nan, 1.0, 0.0]])
    right, right_seen = np.ones((2, 2), np.bool_)
    predictions(scores, np.array([1, 1]), np.ones(3, np.int32), right, right_seen)
    assert not right.any()
    assert not right_seen.any()


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
