"""UPGD: gradient descent with noise, in which useful weights change less.

Elsayed and Mahmood, *Addressing Loss of Plasticity and Catastrophic Forgetting in Continual Learning* (ICLR 2024),
algorithm 1, as in the authors' code (`mohmdelsayed/upgd`, `FirstOrderGlobalUPGD`). A weight's utility is a running mean
of -gradient * weight, a first-order estimate of how much the loss would rise without it. Scaled by the largest utility
of all weights and squashed to (0, 1), it protects the weight:

    weight <- (1 - lr * weight_decay) * weight - lr * (gradient + noise) * (1 - sigmoid(utility / largest utility))

As in that code, the utility is corrected for the running mean's start and the largest utility is not.

It is an optimiser: in pre-training it replaces Adam, in transfer it learns the new classes.

Unverified: the default numbers. The authors tune all of them for each experiment, and the defaults are those of none.
"""

from collections.abc import Callable
from typing import Any

import gin
import torch
from torch import Tensor

from zapbench.seeding import torch_generator


def protection(utility: Tensor, largest: Tensor) -> Tensor:
    """Returns sigmoid(utility / largest) in (0, 1); 1/2 where the largest utility is 0."""
    return torch.sigmoid(torch.where(largest == 0, 0.0, utility / largest))


@gin.register
class UPGD(torch.optim.Optimizer):
    """Utility-based perturbed gradient descent, first order, with utilities scaled over all weights; see the module.

    The numbers are unverified. Its noise depends on the seed and on the step alone.

    Args:
        params: parameters.
        lr: learning rate, above 0.
        decay: of the running means of utilities, in [0, 1).
        sigma: standard deviation of the noise, at least 0.
        weight_decay: at least 0.
        seed: of the noise, usually `%PRETRAIN_SEED`; None takes torch's, another one for each trial of transfer.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        *,
        decay: float = 0.999,
        sigma: float = 0.001,
        weight_decay: float = 0.0,
        seed: int | None = None,
    ) -> None:
        if not lr > 0:
            raise ValueError(f"UPGD: lr is {lr}; allowed: above 0")
        if not 0 <= decay < 1:
            raise ValueError(f"UPGD: decay is {decay}; allowed: 0 to below 1")
        for name, value in (("sigma", sigma), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"UPGD: {name} is {value}; allowed: at least 0")
        super().__init__(params, {"lr": lr, "decay": decay, "sigma": sigma, "weight_decay": weight_decay, "steps": 0})
        self._seed = torch.initial_seed() if seed is None else seed

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Makes a step on the parameters that have a gradient.

        Args:
            closure: computes the loss again, as in every optimiser of torch.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        for group in self.param_groups:
            group["steps"] += 1
        for group, p in found:
            utility = self.state[p].setdefault("utility", torch.zeros_like(p))
            utility.mul_(group["decay"]).sub_(p.grad * p, alpha=1 - group["decay"])
        if not found:
            return loss
        largest = torch.stack([self.state[p]["utility"].max() for _, p in found]).max()
        generator = torch_generator("upgd", self._seed, found[0][0]["steps"], device=largest.device)
        for group, p in found:
            corrected = self.state[p]["utility"] / (1 - group["decay"] ** group["steps"])
            noise = torch.empty_like(p).normal_(0.0, 1.0, generator=generator) * group["sigma"]
            change = (p.grad + noise) * (1 - protection(corrected, largest))
            p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change, alpha=group["lr"])
        return loss
