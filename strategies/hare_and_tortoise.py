"""Hare and Tortoise: the trained network is set back to a running mean of its weights at an interval.

Lee, Cho, Kim, Kim, Min, Choo, Lyle, *Slow and Steady Wins the Race: Maintaining Plasticity with Hare and Tortoise
Networks* (ICML 2024). The hare is trained. After each update the tortoise follows it,
tortoise <- m * tortoise + (1 - m) * hare; periodically the hare's weights become the tortoise's.

Running statistics of normalisation are averaged and set back with the weights. The optimiser's state is kept.

Unverified: both points above, that the tortoise is the result of training, the momentum and the interval; only the
paper's abstract could be read.
"""

from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from zapbench.strategies.cadence import Cadence, Unit


@torch.no_grad()
def follow(slow: Tensor, fast: Tensor, *, momentum: float) -> None:
    """Sets `slow` to momentum * slow + (1 - momentum) * fast, in place."""
    slow.mul_(momentum).add_(fast, alpha=1 - momentum)


@gin.register
class HareAndTortoise(SupervisedPlugin):
    """Averages the weights, and sets them back to the average. What is unverified is in the module's docstring.

    The accuracies and losses that are recorded during training are the hare's.

    Attributes:
        cadence: interval between two resets of the hare, from `every` and `unit`.
        momentum: m, in [0, 1).
        result: which of the two training ends with, `tortoise` or `hare`.
    """

    def __init__(
        self,
        *,
        every: int,
        unit: Unit = "updates",
        momentum: float = 0.999,
        result: Literal["tortoise", "hare"] = "tortoise",
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"Hare and Tortoise: momentum is {momentum}; allowed: 0 to below 1")
        if result not in ("tortoise", "hare"):
            raise ValueError(f"Hare and Tortoise: result is {result!r}; allowed: tortoise, hare")
        self.cadence = Cadence("Hare and Tortoise", every, unit)
        self.momentum = momentum
        self.result = result

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Starts the tortoise where the hare is."""
        self._tortoise = {name: value.clone() for name, value in _averaged(strategy).items()}

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Sets the hare back when it is due."""
        if self.cadence.is_due(strategy):
            self._set_back(strategy)

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Lets the tortoise follow."""
        for name, value in _averaged(strategy).items():
            follow(self._tortoise[name], value, momentum=self.momentum)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Puts the tortoise's weights into the model where it is the result."""
        if self.result == "tortoise":
            self._set_back(strategy)

    def _set_back(self, strategy: Any) -> None:
        for name, value in _averaged(strategy).items():
            value.copy_(self._tortoise[name])

    def state_dict(self) -> dict[str, Any]:
        """Returns the tortoise (see `base.StatefulPlugin`)."""
        return dict(self._tortoise)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the tortoise of a checkpoint."""
        self._tortoise = {name: state[name].to(value.device) for name, value in self._tortoise.items()}


def _averaged(strategy: Any) -> dict[str, Tensor]:
    """Returns the model's weights and running statistics, without whole numbers such as counts of batches."""
    return {name: value for name, value in strategy.model.state_dict().items() if value.is_floating_point()}
