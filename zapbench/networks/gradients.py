"""A mini-batch's gradients: by `ManualGradients` where that is faster, by autograd elsewhere."""

import copy
import itertools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zapbench.networks.choices import fastest
from zapbench.networks.classifier import Classifier

if TYPE_CHECKING:
    from zapbench.networks.manual_gradients import ManualGradients

Gradients = Callable[[Tensor, Tensor], Tensor]
"""Inputs and labels -> the mean cross-entropy, detached; the gradients replace those that were there."""

MOST_IMAGES = 128
"""The ways are compared on no more images than this."""

log = logging.getLogger(__name__)


def reason_for_autograd(learner: nn.Module, *images_per_step: int) -> str:
    """Returns in words why autograd computes a learner's gradients, or nothing where `ManualGradients` does.

    Args:
        learner: maps inputs to logits.
        images_per_step: sizes of mini-batches, each of which has to be faster by hand on this machine.
    """
    if type(learner) is not Classifier:
        return "the network is not of the convnet family"
    from zapbench.networks.manual_gradients import reason_against  # compiles: only where it is used

    reason = reason_against(learner)
    if reason or learner.head.weight.dtype is torch.float64:
        return reason
    slower = [n for n in images_per_step if _faster_way(learner, min(n, MOST_IMAGES)) == "autograd"]
    return f"it is as fast here with {slower[0]} images a step" if slower else ""


def uses_manual_gradients(learner: nn.Module, *images_per_step: int) -> bool:
    """Returns whether `ManualGradients` computes a learner's gradients; see `reason_for_autograd`."""
    return not reason_for_autograd(learner, *images_per_step)


def manual_gradients(learner: nn.Module, *images_per_step: int, fast: bool = True) -> "ManualGradients | None":
    """Returns what computes the learner's gradients without autograd, or None where autograd is to; the log says why.

    Args:
        learner: maps inputs to logits.
        images_per_step: sizes of mini-batches.
        fast: whether anything but autograd is allowed.
    """
    reason = reason_for_autograd(learner, *images_per_step) if fast else "the strategy or protocol asks for it"
    if reason or not isinstance(learner, Classifier):
        log.info("gradients by autograd: %s", reason)
        return None
    from zapbench.networks.manual_gradients import ManualGradients

    log.info("gradients by hand (zapbench.networks.manual_gradients)")
    return ManualGradients(learner)


def gradients_of(learner: nn.Module, images_per_step: int, *, fast: bool = True) -> Gradients:
    """Returns what computes the learner's gradients.

    Args:
        learner: maps inputs to logits.
        images_per_step: images of a mini-batch.
        fast: whether anything but autograd is allowed.
    """
    net = manual_gradients(learner, images_per_step, fast=fast)
    device = next(learner.parameters()).device

    def by_autograd(inputs: Tensor, labels: Tensor) -> Tensor:
        learner.zero_grad()
        loss = nn.functional.cross_entropy(learner(inputs), labels.to(device))
        loss.backward()
        return loss.detach()

    def by_hand(inputs: Tensor, labels: Tensor) -> Tensor:
        assert net is not None
        net.load()
        loss = nn.functional.cross_entropy(net.backpropagate(inputs, labels), labels)
        net.assign_gradients()
        return loss

    return by_autograd if net is None else by_hand


def _faster_way(learner: Classifier, images: int) -> str:
    from zapbench.networks.manual_gradients import ManualGradients

    question = f"gradients of {learner.name}, {learner.head.out_features} outputs, {images} images"
    plain, own = copy.deepcopy(learner), copy.deepcopy(learner)
    side = image_side(learner)
    inputs = torch.ones(images, next(learner.parameters()).shape[1], side, side)
    labels = torch.zeros(images, dtype=torch.int64)
    net = ManualGradients(own)

    ways = {
        "autograd": lambda: nn.functional.cross_entropy(plain(inputs), labels).backward(),
        "manual": lambda: net.backpropagate(inputs, labels),
    }
    return fastest(question, ways)


def image_side(learner: Classifier) -> int:
    """Returns the height and width of the smallest images that the head's features can come from."""
    for side in itertools.count(1):
        size = side
        for layer in learner.encoder.children():
            if isinstance(layer, nn.Conv2d):
                size += 2 * int(layer.padding[0]) - 2
                filters = layer.out_channels
            elif isinstance(layer, nn.MaxPool2d):
                size //= 2
        if size > 0 and filters * size**2 == learner.head.in_features:
            return side
    raise AssertionError
