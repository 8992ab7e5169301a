"""L2 regularisation, towards zero or towards the initial weights (L2 Init).

Kumar, Marklund, Van Roy, *Maintaining Plasticity in Continual Learning via Regenerative Regularization* (2023): the
loss gets the term lambda * ||theta - theta_0||^2, where theta_0 are the parameters at initialisation (L2 Init), or 0
(L2 regularisation). The gradient of the term, 2 * lambda * (theta - theta_0), is added to the loss's gradient, so that
an adaptive optimiser scales it, as it does with a term of the loss. Recorded losses are without the term.

In the authors' notation every parameter is regularised, biases and normalisation layers included.

Unverified: the strength, which the authors tune for each problem.
"""

from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

Towards = Literal["initial", "zero"]


def pull(weight: Tensor, anchor: Tensor | float, *, strength: float) -> Tensor:
    """Returns the gradient of strength * ||weight - anchor||^2, in the weight's shape."""
    return 2 * strength * (weight - anchor)


@gin.register
class L2(SupervisedPlugin):
    """Adds the gradient of an L2 penalty before each step of the optimiser. The strength is unverified.

    Attributes:
        strength: lambda, above 0.
        towards: `initial` (L2 Init) or `zero` (L2 regularisation).
    """

    def __init__(self, *, strength: float, towards: Towards = "initial") -> None:
        super().__init__()
        if not strength > 0:
            raise ValueError(f"L2: strength is {strength}; allowed: above 0")
        if towards not in ("initial", "zero"):
            raise ValueError(f"L2: towards is {towards!r}; allowed: initial, zero")
        self.strength = strength
        self.towards = towards

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps a copy of the weights; a resumed run gets the first ones from its checkpoint."""
        named = strategy.model.named_parameters()
        self._initial = {name: weight.detach().clone() for name, weight in named if self.towards == "initial"}

    @torch.no_grad()
    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Adds the penalty's gradient to that of the loss."""
        for name, weight in strategy.model.named_parameters():
            if weight.grad is not None:
                weight.grad += pull(weight, self._initial.get(name, 0.0), strength=self.strength)

    def state_dict(self) -> dict[str, Any]:
        """Returns the initial weights (see `base.StatefulPlugin`)."""
        return dict(self._initial)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the initial weights of a checkpoint."""
        self._initial = {name: state[name].to(value.device) for name, value in self._initial.items()}
