"""The steps of the optimisers that the fast transfer engines can reproduce."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn


@dataclass(frozen=True)
class StepRule:
    """The step of an optimiser.

    Attributes:
        kind: `sgd`, `momentum` or `adam` (with `decay`, AdamW).
        rate: learning rate.
        momentum: of `momentum`, in [0, 1).
        betas: of `adam`.
        eps: of `adam`.
        decay: decoupled weight decay of `adam`.
    """

    kind: Literal["sgd", "momentum", "adam"]
    rate: float
    momentum: float = 0.0
    betas: tuple[float, float] = (0.0, 0.0)
    eps: float = 0.0
    decay: float = 0.0


def step_rule_of(optimizer: Callable[..., torch.optim.Optimizer], rate: float) -> StepRule | None:
    """Returns the step of an optimiser, or None where no fast engine can reproduce it.

    The options are read from an optimiser of a small layer. Subclasses, hooks, parameter groups and unknown options
    give None.
    """
    stepper = optimizer(list(nn.Linear(1, 1).parameters()), lr=rate)
    if len(stepper.param_groups) != 1 or stepper._optimizer_step_pre_hooks or stepper._optimizer_step_post_hooks:
        return None
    options = {key: value for key, value in stepper.param_groups[0].items() if key != "params"}
    if not all(isinstance(value, bool | int | float | tuple | None) for value in options.values()):
        return None
    for name in ("foreach", "fused"):  # how it is computed, not what
        options.pop(name, None)
    if type(stepper) is torch.optim.SGD:
        return _sgd(options)
    if type(stepper) in (torch.optim.Adam, torch.optim.AdamW):
        return _adam(options)
    return None


def _sgd(options: dict[str, Any]) -> StepRule | None:
    rate, momentum = float(options.pop("lr")), float(options.pop("momentum"))
    if any(options.values()) or not 0 <= momentum < 1:  # dampening, weight_decay, nesterov, maximize, ...
        return None
    return StepRule("momentum", rate, momentum=momentum) if momentum else StepRule("sgd", rate)


def _adam(options: dict[str, Any]) -> StepRule | None:
    rate, eps = float(options.pop("lr")), float(options.pop("eps"))
    beta1, beta2 = (float(beta) for beta in options.pop("betas"))
    decay = float(options.pop("weight_decay"))
    decoupled = options.pop("decoupled_weight_decay", False)
    if any(options.values()) or eps <= 0 or (decay and not decoupled):  # amsgrad, maximize, capturable, ...
        return None
    return StepRule("adam", rate, betas=(beta1, beta2), eps=eps, decay=decay)
