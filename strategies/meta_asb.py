"""Meta-ASB: ASB with meta-gradients (Frati et al., ECAI 2024, Algorithm 1; OML's and ANML's way of learning)."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import gin
import torch
from torch import Tensor
from torch.func import functional_call

from zapbench.networks.manual_gradients import Step
from zapbench.networks.second_order import through
from zapbench.strategies.episodic import Episodic


@gin.register
class MetaASB(Episodic):
    """Rewinds to the weights before the inner loop and steps along the gradient taken through it.

    theta_{i+1} = theta_i - inner_lr * grad L(f(X_inner[i]; theta_i), C), for i in 0..K-1;
    theta = theta_0 - lr_out * d/d theta_0 L(f(X_outer; theta_K), Y), second order.

    A zap comes before theta_0: the zapped row is part of what the meta-gradient moves. OML and ANML are this with a
    network of their own and `inner` parameters. Batch norm's running statistics are not rewound: they are filled in
    every forward pass, single images of the inner loop included, as in ASB. See `Episodic` for the hooks.

    Attributes:
        inner: patterns (`*` stands for anything) of the names of the parameters that the inner loop moves.
        outer: the same of those that the outer step moves.
        first_order: whether theta_K is taken to depend on theta_0 by the identity alone (as in ANML's own code); the
            paper's meta-gradient is second order.

    Raises:
        ValueError: a pattern fits none of the model's parameters.
    """

    def __init__(
        self,
        *,
        inner: Sequence[str] = ("*",),
        outer: Sequence[str] = ("*",),
        first_order: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inner = inner
        self.outer = outer
        self.first_order = first_order
        self.fast = self.fast and (*inner, *outer) == ("*", "*")  # `ManualGradients` move everything in both loops
        for pattern in (*inner, *outer):
            if not self._chosen([pattern]):
                parts = sorted({".".join(name.split(".")[:2]) for name, _ in self.model.named_parameters()})
                raise ValueError(
                    f"{type(self).__name__}: no parameter is called {pattern!r}; there are: {', '.join(parts)}"
                )

    def _inner_updates(self, **kwargs: Any) -> None:
        if self._net is not None:
            self._steps: list[Step] | None = None if self.first_order else []
            self._net.load()
            self._net.descend(self.inner_x, self.inner_y, lr=self.inner_lr, steps=self._steps)
            return
        moved = self._chosen(self.inner)
        for i in range(self.inner_images):
            logits = functional_call(self.model, moved, (self.inner_x[i : i + 1],))
            loss = self._criterion(logits, self.inner_y[i : i + 1])
            gradients = torch.autograd.grad(loss, list(moved.values()), create_graph=not self.first_order)
            moved = {name: w - self.inner_lr * g for (name, w), g in zip(moved.items(), gradients)}
        self._moved = moved

    def _outer_update(self, **kwargs: Any) -> None:
        if self._net is not None:
            self.optimizer.zero_grad()
            self.mb_output = self._net.backpropagate(self.mb_x, self.mb_y)
            self.loss = self.criterion()
            if self._steps is not None:
                through(self._net, self._steps, lr=self.inner_lr)
            self._net.assign_gradients()
            self.optimizer.step()
            return
        start = self._chosen(self.outer)
        self.mb_output = functional_call(self.model, self._moved, (self.mb_x,))
        self.loss = self.criterion()
        gradients = torch.autograd.grad(self.loss, list(start.values()))
        self._moved = {}
        self.optimizer.zero_grad()
        for parameter, gradient in zip(start.values(), gradients):
            parameter.grad = gradient
        self.optimizer.step()

    def _chosen(self, patterns: Sequence[str]) -> dict[str, Tensor]:
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        return {name: p for name, p in named if any(fnmatchcase(name, pattern) for pattern in patterns)}
