"""A learner's outputs between its updates: by `ManualGradients`' forward pass where that is faster here.

An unfrozen trial is measured on all its images at every point of its curves, which takes longer than the updates
between two points. `outputs_of` is what measures it; without `fast` it is the learner itself.
"""

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from zapbench.networks.choices import fastest
from zapbench.networks.classifier import Classifier
from zapbench.networks.gradients import image_side
from zapbench.networks.passes import in_passes

FAST_PASS = 64
"""Images that go through `FastOutputs` at once; a pass of fewer is filled up to a power of two."""

Outputs = Callable[[Tensor], Tensor]
"""Inputs `(n, ...)` -> outputs `(n, outputs)`."""


class LearnersOutputs:
    """The outputs of the learner itself, which may be any module or function.

    Args:
        learner: inputs `(n, ...)` -> outputs `(n, outputs)`.
        pass_size: inputs of a pass, where the learner is not a `Classifier`.
    """

    def __init__(self, learner: Outputs, pass_size: int) -> None:
        self._learner = learner
        self._pass_size = pass_size

    def load(self) -> None:
        """Takes the learner's weights as they are; they are the learner's own."""

    def passes(self, index: Tensor) -> tuple[Tensor, ...]:
        """Splits indices of inputs `(n,)` into those of each call."""
        learner = self._learner
        return in_passes(index, learner) if isinstance(learner, Classifier) else index.split(self._pass_size)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Returns the outputs `(n, outputs)`."""
        return self._learner(inputs)


class FastOutputs:
    """The outputs of a network that `convnet` made; the learner's own to rounding.

    It works on a copy of the weights: how the learner's own lie in memory is left alone.
    """

    def __init__(self, learner: Classifier) -> None:
        from zapbench.networks.manual_gradients import ManualGradients  # compiles: only where it is used

        self._learner, self._copy = learner, copy.deepcopy(learner)
        self._net = ManualGradients(self._copy)

    @torch.no_grad()
    def load(self) -> None:
        """Takes the learner's weights as they are now."""
        for own, weight in zip(self._copy.parameters(), self._learner.parameters()):
            own.copy_(weight)
        self._net.load()

    def passes(self, index: Tensor) -> tuple[Tensor, ...]:
        """Splits image indices `(n,)` into those of each call."""
        passes: tuple[Tensor, ...] = index.split(FAST_PASS)
        return passes

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Returns the outputs `(n, outputs)` of images `(n, channels, height, width)`."""
        count = len(inputs)
        size = 1 << (count - 1).bit_length()  # few sizes: the ways of each are measured once
        filled = inputs if size == count else torch.cat([inputs, inputs.new_zeros(size - count, *inputs.shape[1:])])
        return self._net.forward(filled)[:count]


def outputs_of(learner: Outputs, *, fast: bool, pass_size: int) -> LearnersOutputs | FastOutputs:
    """Returns what computes a learner's outputs where no gradient is wanted.

    Args:
        learner: inputs -> outputs.
        fast: whether anything but the learner itself is allowed.
        pass_size: inputs of a pass, where the learner is not a `Classifier`.
    """
    if fast and isinstance(learner, Classifier) and _is_faster(learner):
        return FastOutputs(learner)
    return LearnersOutputs(learner, pass_size)


def _is_faster(learner: Classifier) -> bool:
    from zapbench.networks.manual_gradients import reason_against_structure

    kinds = {(p.device.type, p.dtype) for p in learner.parameters()}
    if kinds != {("cpu", torch.float32)} or reason_against_structure(learner) or learner.head.bias is None:
        return False
    own = cache(lambda: FastOutputs(learner))  # built where the choice is not known yet
    side = image_side(learner)
    images = torch.ones(FAST_PASS, next(learner.parameters()).shape[1], side, side)

    def by_learner() -> None:
        for part in in_passes(torch.arange(FAST_PASS), learner):
            learner(images[part])

    question = f"outputs of {learner.name}, {learner.head.out_features} outputs, {FAST_PASS} images"
    with torch.no_grad():
        return fastest(question, {"learner": by_learner, "manual": lambda: own()(images)}) == "manual"
