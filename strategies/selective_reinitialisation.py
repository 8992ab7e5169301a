"""Selective weight re-initialisation (SWR): the least useful single weights get new values at an interval.

Hernandez-Garcia, Dohare, Luo, Sutton, *Reinitializing weights vs units for maintaining plasticity in neural networks*
(CoLLAs 2025), as in the authors' code (class `SelectiveWeightReinitialization`). A weight's utility is |weight|
(`magnitude`) or |weight * gradient| (`gradient`). Each parameter tensor loses a share of its weights, the least useful
ones (`proportional`, a fraction of a weight being drawn), or those with a utility of at most a factor times the
tensor's mean (`threshold`). They are drawn from the tensor's initial distribution: here, from a newly initialised
network.

Difference: the optimiser's moments of these weights are cleared (their code keeps them). The code's running mean of
utilities, off by default, is not offered.

Unverified: interval and share for a short training.
"""

from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from zapbench.seeding import torch_generator
from zapbench.strategies.cadence import Cadence, Unit
from zapbench.strategies.new_networks import NetworkFactory, new_network, replace_where

Utility = Literal["magnitude", "gradient"]
Pruning = Literal["proportional", "threshold"]


def least_useful(utility: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """Returns a mask of the share of weights with the lowest utility; a fraction of a weight is drawn.

    Args:
        utility: of each weight, any shape.
        share: in (0, 1).
        generator: draws whether one more weight is chosen, on the CPU.
    """
    wanted = utility.numel() * share
    count = int(wanted) + int(torch.rand(1, generator=generator).item() < wanted % 1)
    mask = torch.zeros(utility.numel(), dtype=torch.bool, device=utility.device)
    mask[utility.flatten().argsort(stable=True)[:count]] = True
    return mask.view_as(utility)


def below_mean(utility: Tensor, *, factor: float) -> Tensor:
    """Returns a mask of the weights with a utility of at most `factor`, in (0, 1), times the mean."""
    return utility <= factor * utility.mean()


@gin.register
class SelectiveReinitialisation(SupervisedPlugin):
    """Re-initialises the least useful weights at an interval. Interval and share are unverified.

    Attributes:
        model: makes the network, usually `%MODEL`, as `run.model`.
        cadence: interval, from `every` and `unit`.
        share: of each tensor's weights (`proportional`), or the factor of the mean utility (`threshold`); in (0, 1), so
            that no tensor can lose all its weights.
        utility: `magnitude` or `gradient`, of the update before.
        pruning: `proportional` or `threshold`.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self,
        *,
        model: NetworkFactory,
        every: int,
        unit: Unit = "updates",
        share: float = 0.01,
        utility: Utility = "magnitude",
        pruning: Pruning = "proportional",
        seed: int = 0,
    ) -> None:
        super().__init__()
        method = "selective re-initialisation"
        if not 0 < share < 1:
            raise ValueError(f"{method}: share is {share}; allowed: above 0 and below 1")
        for name, value, allowed in (
            ("utility", utility, ("magnitude", "gradient")),
            ("pruning", pruning, ("proportional", "threshold")),
        ):
            if value not in allowed:
                raise ValueError(f"{method}: {name} is {value!r}; allowed: {', '.join(allowed)}")
        self.model = model
        self.cadence = Cadence(method, every, unit)
        self.share = share
        self.utility = utility
        self.pruning = pruning
        self.seed = seed

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the model, whose gradients are part of a checkpoint."""
        self._model = strategy.model

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Re-initialises weights when it is due."""
        if not self.cadence.is_due(strategy):
            return
        method = self.cadence.method
        generator = torch_generator(f"{method}, counts", self.seed, strategy.clock.train_iterations)
        named = strategy.model.named_parameters()
        masks = {name: self._mask(weight, generator) for name, weight in named if self._has_utility(weight)}
        new = new_network(self.model, strategy, method=method, seed=self.seed)
        replace_where(strategy.model, new, masks, strategy.optimizer)

    def _has_utility(self, weight: Tensor) -> bool:
        return self.utility == "magnitude" or weight.grad is not None

    @torch.no_grad()
    def _mask(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        utility = weight.abs()
        if self.utility == "gradient":
            assert weight.grad is not None
            utility = utility * weight.grad.abs()
        if self.pruning == "threshold":
            return below_mean(utility, factor=self.share)
        return least_useful(utility, share=self.share, generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Returns the gradients of the last update, where utilities need them (see `base.StatefulPlugin`)."""
        named = self._model.named_parameters() if self.utility == "gradient" else ()
        return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the gradients of a checkpoint."""
        for name, weight in self._model.named_parameters():
            if name in state:
                weight.grad = state[name].to(weight)
