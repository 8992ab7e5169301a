"""A mini-batch's gradients, put where an optimiser looks for them: by autograd, or by the network written out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier

Gradients = Callable[[Tensor, Tensor], Tensor]
"""Inputs and labels -> the mean cross-entropy, detached; the gradients replace those that were there."""


WORTHWHILE = 192
"""Filters, times one more than images per step, up to which writing gradients out gains (`benchmarks/unfrozen.py`)."""


def is_written_out(learner: nn.Module, images_per_step: int) -> bool:
    """Returns whether the learner's gradients are written out: to rounding those of autograd, and sooner there."""
    if type(learner) is not Classifier or len(next(learner.parameters())) * (images_per_step + 1) > WORTHWHILE:
        return False
    from zapbench.networks.manual_gradients import applies  # compiles: only where it is used

    return applies(learner, nn.CrossEntropyLoss())


def gradients_of(learner: nn.Module, images_per_step: int, *, fast: bool = True) -> Gradients:
    """Returns what computes the learner's gradients.

    Args:
        learner: maps inputs to logits; where its gradients are written out, its weights become views of others.
        images_per_step: images of a mini-batch.
        fast: whether they are written out where that can stand in for autograd, and gains.
    """
    return _written_out(learner) if fast and is_written_out(learner, images_per_step) else _autograd(learner)


def _autograd(learner: nn.Module) -> Gradients:
    device = next(learner.parameters()).device

    def compute(inputs: Tensor, labels: Tensor) -> Tensor:
        learner.zero_grad()
        loss = nn.functional.cross_entropy(learner(inputs), labels.to(device))
        loss.backward()
        return loss.detach()

    return compute


def _written_out(learner: nn.Module) -> Gradients:
    from zapbench.networks.manual_gradients import ManualGradients

    assert isinstance(learner, Classifier)
    net = ManualGradients(learner)

    def compute(inputs: Tensor, labels: Tensor) -> Tensor:
        net.load()
        with torch.no_grad():
            loss = nn.functional.cross_entropy(net.gradients(inputs, labels), labels)
        net.assign_gradients()
        return loss

    return compute
