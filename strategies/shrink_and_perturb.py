"""Shrink and perturb: all weights are shrunk, and a part of a fresh initialisation is added.

Ash and Adams, *On Warm-Starting Neural Network Training* (NeurIPS 2020), section 4: whenever images are added to the
training set, theta <- shrink * theta + p. In the authors' code (`JordanAsh/warm_start`, `run.py`, `shrink_perturb`) p
is `noise` times the weights of a newly made network, so that each kind of parameter is perturbed as it is initialised,
and a new optimiser goes on from there. Shrink 0.4 and noise 0.1 are that code's defaults.

Unverified: a cadence within one training on a fixed set of images is ours (the paper has rounds of new images), and so
is the choice to perturb the head alone.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.seeding import torch_generator
from zapbench.strategies.cadence import Cadence, Unit


@torch.no_grad()
def shrink_and_perturb(weights: Iterable[Tensor], fresh: Iterable[Tensor], *, shrink: float, noise: float) -> None:
    """Makes `weights` shrink * weights + noise * fresh, in place.

    Args:
        weights: parameters of a network.
        fresh: those of a newly made one, in the same order.
        shrink: in [0, 1]; 1 keeps the weights.
        noise: at least 0; with shrink 0, 1 starts anew.
    """
    for weight, new in zip(weights, fresh, strict=True):
        weight.mul_(shrink).add_(new.to(weight), alpha=noise)


@gin.register
class ShrinkAndPerturb(SupervisedPlugin):
    """Shrinks and perturbs at a cadence; the optimiser's state of what was perturbed is forgotten (authors' code).

    Running statistics of batch norm stay as they are. The cadence is unverified.

    Attributes:
        model: makes the network from `outputs`, `channels` and `size`, usually `%MODEL`, as `run.model`.
        cadence: from `every` and `unit`.
        shrink: see `shrink_and_perturb`.
        noise: see `shrink_and_perturb`.
        part: whether the whole `model` is perturbed or the `head` alone.
        seed: seed of the fresh networks, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self,
        *,
        model: Callable[..., Classifier],
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
        """Shrinks and perturbs where the cadence says so."""
        if not self.cadence.is_due(strategy):
            return
        weights = list(self._of(strategy.model).parameters())
        shrink_and_perturb(weights, self._of(self._new(strategy)).parameters(), shrink=self.shrink, noise=self.noise)
        for weight in weights:
            strategy.optimizer.state.pop(weight, None)

    def _of(self, model: Classifier) -> nn.Module:
        return model if self.part == "model" else model.head

    def _new(self, strategy: Any) -> Classifier:
        """Returns a new network; torch's global generator, which networks draw from, is left as it was."""
        _, channels, size, _ = strategy.mb_x.shape
        seed = torch_generator("shrink and perturb", self.seed, strategy.clock.train_iterations).initial_seed()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.model(outputs=strategy.model.head.out_features, channels=channels, size=size)
