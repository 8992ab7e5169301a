"""What one trial needs: the single object that every transfer engine takes."""

import copy
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn

from zapbench.networks.classifier import Classifier, last_layers, new_head
from zapbench.scenarios.trial import Role, Trial
from zapbench.seeding import torch_generator
from zapbench.transfer.features import Features, Inputs
from zapbench.transfer.metrics import spread
from zapbench.transfer.protocol import Protocol
from zapbench.transfer.step_rule import StepRule, step_rule_of

OptimizerFactory = Callable[..., torch.optim.Optimizer]
"""Called with parameters and `lr`."""


@dataclass(frozen=True)
class TrialPlan:
    """What a transfer engine needs to learn one trial.

    Attributes:
        trial: classes, labels and images.
        learner: maps inputs to logits: a new head (frozen transfer), or the model with a new head. The plain loop and
            Avalanche train it in place; the fast engines copy it.
        protocol: sequential or i.i.d., passes, images per step.
        optimizer: called with the learner's parameters and `lr`.
        rate: learning rate.
        points: steps at which to measure, in ascending order; see `Protocol.points`.
        order: draws the order of the images of an i.i.d. trial.
        draw: identifies the trial and its head; plans with the same draw differ only in their rate.
    """

    trial: Trial
    learner: nn.Module
    protocol: Protocol
    optimizer: OptimizerFactory
    rate: float
    points: list[int]
    order: torch.Generator = field(default_factory=torch.Generator)
    draw: Hashable = None

    @property
    def head(self) -> nn.Linear:
        """The new head of a frozen transfer."""
        assert isinstance(self.learner, nn.Linear)
        return self.learner

    @property
    def loss_points(self) -> list[int]:
        """The points at which losses are measured, too."""
        return spread(self.points, self.protocol.losses)

    @cached_property
    def step_rule(self) -> StepRule:
        """The optimiser's step.

        Raises:
            ValueError: no fast engine knows the optimiser.
        """
        rule = step_rule_of(self.optimizer, self.rate)
        if rule is None:
            raise ValueError("no fast engine knows the steps of this optimiser")
        return rule

    def new_optimizer(self) -> torch.optim.Optimizer:
        """Returns an optimiser of the learner's trainable parameters."""
        return self.optimizer([p for p in self.learner.parameters() if p.requires_grad], lr=self.rate)


def learner_for(
    model: Classifier, protocol: Protocol, outputs: int, generator: torch.Generator, inputs: Inputs
) -> nn.Module:
    """Returns what a trial trains, in eval mode: a new head, or a copy of the model with a new head.

    Parameters that do not learn have `requires_grad` False.

    Args:
        model: the pre-trained model; it is not changed.
        protocol: whether the encoder is frozen, or how many layers learn.
        outputs: outputs of the new head.
        generator: draws the new head.
        inputs: image indices -> the learner's inputs.
    """
    weight = model.head.weight
    features = inputs.width if isinstance(inputs, Features) else model.head.in_features
    head = new_head(features, outputs, generator=generator).to(weight.device, weight.dtype)
    if protocol.frozen:
        return head.eval()
    learner = copy.deepcopy(model)
    learner.head = head
    learner.requires_grad_(protocol.layers is None)
    for layer in last_layers(learner, protocol.layers) if protocol.layers is not None else ():
        layer.requires_grad_(True)
    return learner.eval()


def trial_generator(name: str, scenario: str, pretrain_seed: int, transfer_seed: int, role: Role) -> torch.Generator:
    """Returns the generator of a trial by its name (`head`, `order`): the same for every method and rate."""
    return torch_generator(f"transfer {name} {role}", scenario, pretrain_seed, transfer_seed)
