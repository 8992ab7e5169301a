"""Zapping the direction of a row alone.

A zap changes both the direction and the norm of the row of a class: a re-drawn row has the norm of an untrained row,
which is mostly smaller than that of a trained row. To find out which of the two matters, this plug-in re-draws the
direction and keeps the norm.
"""

from typing import Any

import gin
import torch
from avalanche.core import SupervisedMetaLearningPlugin
from torch import Tensor

from zapbench.seeding import torch_generator


def new_direction(row: Tensor, generator: torch.Generator) -> Tensor:
    """Returns a vector with the norm of `row` and a uniformly random direction.

    Args:
        row: of shape `(features,)`.
        generator: source of the draw, on the device of `row`.
    """
    drawn = torch.empty_like(row).normal_(generator=generator)
    return drawn * (row.norm() / drawn.norm())


@gin.register
class ZapDirection(SupervisedMetaLearningPlugin):  # type: ignore[misc]  # Avalanche is untyped
    """Re-draws the direction of the row of the episode's class before the inner updates, and sets its bias to 0.

    Attributes:
        every: episodes between two zaps.
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
        # The generator depends on the seed and the episode alone, so a resumed run makes the same draws.
        generator = torch_generator("zap direction", self.seed, done, device=head.weight.device)
        with torch.no_grad():
            head.weight[row] = new_direction(head.weight[row], generator)
            head.bias[row] = 0.0
