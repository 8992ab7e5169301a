"""Zapping a row's direction alone.

A zap changes two things of the row of a class: where it points, and how long it is (a row drawn anew is as long as one
that was never trained; a trained one is mostly longer). Which of the two makes features that are learned from? Here the
direction is drawn anew, and the length stays.
"""

from typing import Any

import gin
import torch
from avalanche.core import SupervisedMetaLearningPlugin
from torch import Tensor

from zapbench.seeding import torch_generator


def new_direction(row: Tensor, generator: torch.Generator) -> Tensor:
    """Returns a vector as long as `row`, in a direction drawn uniformly.

    Args:
        row: of shape `(features,)`.
        generator: where the draw comes from; on the row's device.
    """
    drawn = torch.empty_like(row).normal_(generator=generator)
    return drawn * (row.norm() / drawn.norm())


@gin.register
class ZapDirection(SupervisedMetaLearningPlugin):  # type: ignore[misc]  # Avalanche is untyped
    """Turns the row of the episode's class to anywhere, before the inner updates, and sets its bias to 0.

    Attributes:
        every: episodes between two turns.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(self, *, every: int = 1, seed: int = 0) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"ZapDirection: every must be at least 1, got {every}")
        self.every = every
        self.seed = seed

    def before_inner_updates(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Called by ASB and Meta-ASB before the inner loop of each episode."""
        done = strategy.clock.train_iterations
        if done % self.every:
            return
        head, row = strategy.model.head, strategy.episode_class
        # From the seed and the episode's number: a run that goes on from a checkpoint draws what it would have drawn.
        generator = torch_generator("zap direction", self.seed, done, device=head.weight.device)
        with torch.no_grad():
            head.weight[row] = new_direction(head.weight[row], generator)
            head.bias[row] = 0.0
