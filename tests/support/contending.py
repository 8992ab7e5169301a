"""What tests of contenders share: a way to run one, small trials, and what a strategy did step by step."""

import functools
from dataclasses import replace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.supervised import Naive

from zapbench.seeding import seed_global_state
from zapbench.transfer.avalanche import run_strategy
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.protocol import sequential_transfer

ADAM = functools.partial(torch.optim.Adam, fused=True)


def contend(factory, learner, inputs, trial, *, rate=0.001, optimizer=ADAM, points=(), **protocol):
    seed_global_state("contender", "test")
    return run_strategy(
        factory,
        inputs,
        TrialPlan(
            trial,
            learner,
            sequential_transfer(learner="contender", **protocol),
            optimizer=optimizer,
            rate=rate,
            points=list(points) or [len(trial.classes)],
        ),
    )


def assert_alike(found, expected, *, rel=1e-9):
    """The same curves; losses, which are sums of rounded numbers, up to rounding."""
    empty = {"held_out_loss": [], "trained_on_loss": []}
    assert replace(found, **empty) == replace(expected, **empty)
    for name in empty:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=rel), name


def with_plugin(make, *more):
    return lambda **kwargs: Naive(plugins=[make(), *more], **kwargs)


def cut(trial, classes):
    return type(trial)(*(getattr(trial, name)[:classes] for name in ("classes", "labels", "train", "held_out")))


class Watch(SupervisedPlugin):
    """Calls `look(strategy)` at one hook of every step (or experience), and keeps what it returns."""

    def __init__(self, hook, look):
        super().__init__()
        self.seen = []
        setattr(self, hook, lambda strategy, *args, **kwargs: self.seen.append(look(strategy)))
