"""DASH: weights shrink, the more so the less they point where the loss falls.

Shin, Oh, Cho, Yun, *DASH: Warm-Starting Neural Network Training in Stationary Settings without Loss of Plasticity*
(NeurIPS 2024), algorithm 1, as in the authors' code (`baekrok/DASH-Direction-Aware-SHrinking`, `utils/train_utils.py`,
`dash`). The negative gradient is averaged over the batches of one pass over the training images at fixed weights, g <-
(1 - alpha) g + alpha * (-gradient). Each weight vector w (an output node's row; of a convolution, each filter's kernel
of each channel; a layer's bias as a whole) is multiplied by max(lambda, cos(g, w)). Normalisation layers and the
optimiser's state do not change. Alpha 0.3 and lambda 0.3 are those of the command in the authors' README.

Unverified: the interval within one training on a fixed set of images (the authors shrink when new images arrive).
"""

from typing import Any

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.strategies.cadence import Cadence, Unit
from zapbench.strategies.training_gradients import check_batch_size, gradients_by_batch


def shrinkage(direction: Tensor, weight: Tensor, *, least: float) -> Tensor:
    """Returns the factors in [least, 1] of a weight's vectors, broadcastable to the weight.

    Args:
        direction: averaged negative gradient, in the weight's shape.
        weight: `(outputs, inputs)`, `(filters, channels, height, width)` or a bias `(outputs,)`. Vectors are rows,
            kernels and the whole bias.
        least: lambda, the smallest factor.
    """
    first = {1: 0, 2: 1, 4: 2}[weight.ndim]  # the dimensions before it number the vectors
    cosine = torch.cosine_similarity(direction.flatten(first), weight.flatten(first), dim=-1)
    return cosine.clamp(least, 1.0).view(*weight.shape[:first], *[1] * (weight.ndim - first))


@gin.register
class DASH(SupervisedPlugin):
    """Shrinks the weights of linear and convolutional layers at an interval, which is unverified; fixed ones are kept.

    Attributes:
        cadence: interval, from `every` and `unit`.
        alpha: weight of each batch in the average of gradients, in (0, 1].
        least: lambda, in [0, 1).
        batch_size: images per batch of that average.
    """

    def __init__(
        self, *, every: int, unit: Unit = "updates", alpha: float = 0.3, least: float = 0.3, batch_size: int = 256
    ) -> None:
        super().__init__()
        if not 0 < alpha <= 1:
            raise ValueError(f"DASH: alpha is {alpha}; allowed: above 0, up to 1")
        if not 0 <= least < 1:
            raise ValueError(f"DASH: least is {least}; allowed: 0 to below 1, as 1 changes nothing")
        check_batch_size("DASH", batch_size)
        self.cadence = Cadence("DASH", every, unit)
        self.alpha = alpha
        self.least = least
        self.batch_size = batch_size

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Shrinks when it is due."""
        if not self.cadence.is_due(strategy):
            return
        model = strategy.model
        layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        wanted = [f"{name}.{part}" for name, layer in layers for part, _ in layer.named_parameters(recurse=False)]
        named = model.named_parameters()
        weights = {name: weight for name, weight in named if name in wanted and weight.requires_grad}
        direction = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for gradients in gradients_by_batch(strategy, batch_size=self.batch_size):
            for name, average in direction.items():
                average.mul_(1 - self.alpha).sub_(gradients[name], alpha=self.alpha)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.mul_(shrinkage(direction[name], weight, least=self.least))
