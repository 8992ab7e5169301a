"""Shrink and perturb: all weights are scaled down, and a fraction of a new initialisation is added.

Ash and Adams, *On Warm-Starting Neural Network Training* (NeurIPS 2020), section 4: whenever images are added to the
training set, theta <- shrink * theta + p. In the authors' code (`JordanAsh/warm_start`, `run.py`, `shrink_perturb`) p
is `noise` times the weights of a newly initialised network, so the perturbation of each parameter has the distribution
of its initialisation. Training continues with a new optimiser. Shrink 0.4 and noise 0.1 are that code's defaults.

Unverified: the interval within one training on a fixed set of images (the paper perturbs when new images arrive), and
the option to perturb the head alone.
"""

from collections.abc import Iterable
from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.strategies.cadence import Cadence, Unit
from zapbench.strategies.new_networks import NetworkFactory, new_network


@torch.no_grad()
def shrink_and_perturb(weights: Iterable[Tensor], fresh: Iterable[Tensor], *, shrink: float, noise: float) -> None:
    """Sets `weights` to shrink * weights + noise * fresh, in place.

    Args:
        weights: parameters of a network.
        fresh: parameters of a newly initialised network, in the same order.
        shrink: in [0, 1]; 1 keeps the weights.
        noise: at least 0; shrink 0 with noise 1 is re-initialisation.
    """
    for weight, new in zip(weights, fresh, strict=True):
        weight.mul_(shrink).add_(new.to(weight), alpha=noise)


@gin.register
class ShrinkAndPerturb(SupervisedPlugin):
    """Shrinks and perturbs at an interval, and clears the optimiser's state of those parameters (authors' code).

    Running statistics of batch norm are kept. The interval is unverified.

    Attributes:
        model: makes the network from `outputs`, `channels` and `size`, usually `%MODEL`, as `run.model`.
        cadence: interval, from `every` and `unit`.
        shrink: see `shrink_and_perturb`.
        noise: see `shrink_and_perturb`.
        part: `model` perturbs all parameters, `head` those of the head.
        seed: seed of the new networks, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self,
        *,
        model: NetworkFactory,
        every: int,
        unit: Unit = "updates",
        shrink: float = 0.4,
        noise: float = 0.1,
        part: Literal["model", "head"] = "model",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= shrink <= 1:
            raise ValueError(f"shrink and perturb: shrink is {shrink}; allowed: 0 to 1")
        if not noise >= 0:
            raise ValueError(f"shrink and perturb: noise is {noise}; allowed: at least 0")
        if part not in ("model", "head"):
            raise ValueError(f"shrink and perturb: part is {part!r}; allowed: model, head")
        self.model = model
        self.cadence = Cadence("shrink and perturb", every, unit)
        self.shrink = shrink
        self.noise = noise
        self.part = part
        self.seed = seed

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Shrinks and perturbs when it is due."""
        if not self.cadence.is_due(strategy):
            return
        weights = list(self._of(strategy.model).parameters())
        new = new_network(self.model, strategy, method="shrink and perturb", seed=self.seed)
        shrink_and_perturb(weights, self._of(new).parameters(), shrink=self.shrink, noise=self.noise)
        for weight in weights:
            strategy.optimizer.state.pop(weight, None)

    def _of(self, model: Classifier) -> nn.Module:
        return model if self.part == "model" else model.head
