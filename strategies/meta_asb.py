"""Meta-ASB: ASB with meta-gradients (Frati et al., ECAI 2024, Algorithm 1; OML's and ANML's way of learning)."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import gin
import torch
from torch import Tensor, nn
from torch.func import functional_call

from zapbench.networks.ahead import mixes_images, split
from zapbench.networks.anml import Gated
from zapbench.networks.classifier import Classifier
from zapbench.networks.cuda_graphs import CudaGraph
from zapbench.networks.gradients import manual_gradients
from zapbench.networks.manual_gradients import ManualGradients, Step
from zapbench.networks.second_order import through
from zapbench.strategies.episodic import Episodic


@gin.register
class MetaASB(Episodic):
    """Rewinds to the weights before the inner loop and steps along the gradient taken through it.

    theta_{i+1} = theta_i - inner_lr * grad L(f(X_inner[i]; theta_i), C), for i in 0..K-1;
    theta = theta_0 - lr_out * d/d theta_0 L(f(X_outer; theta_K), Y), second order.

    A zap comes before theta_0: the zapped row is part of what the meta-gradient moves. OML and ANML are this with a
    network of their own and `inner` parameters. Batch norm's running statistics are not rewound: they are filled in
    every forward pass, single images of the inner loop included, as in ASB. Where `fast`, ANML's gate and OML's
    convolutions, which the inner loop leaves alone, are computed once an episode. See `Episodic` for the hooks.

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
        for pattern in (*inner, *outer):
            if not self._chosen([pattern]):
                parts = sorted({".".join(name.split(".")[:2]) for name, _ in self.model.named_parameters()})
                raise ValueError(
                    f"{type(self).__name__}: no parameter is called {pattern!r}; there are: {', '.join(parts)}"
                )

    def _manual_gradients(self, *, fast: bool) -> ManualGradients | None:
        model = self.model
        inner, everything = set(self._chosen(self.inner)), set(self._chosen(["*"]))
        self._gate: nn.Module | None = None
        if isinstance(model, Classifier) and type(model.encoder) is Gated:
            gate = {name for name in everything if name.startswith("encoder.gate.")}
            if inner == everything - gate and not mixes_images(model.encoder.gate):
                self._gate, inner = model.encoder.gate, everything
                model = Classifier(model.encoder.net, model.head, name=f"what is gated in {model.name}")
        fast = fast and inner == everything == set(self._chosen(self.outer))  # `ManualGradients` move all they know
        return manual_gradients(model, 1, self.inner_images + self.random_images, fast=fast)

    def _cuda_graphs(self) -> tuple[CudaGraph, ...]:
        everything = set(self._chosen(["*"]))
        whole = set(self._chosen(self.inner)) == everything == set(self._chosen(self.outer))
        whole = whole and type(self)._inner_updates is MetaASB._inner_updates  # the graph makes them
        return (CudaGraph(self._meta_gradients, self._parameters),) if whole else ()

    def _inner_updates(self, **kwargs: Any) -> None:
        if self._graphs:  # the outer update's graph takes the inner steps, too: they move no parameter of the model
            return
        if self._net is not None:
            self._descend_by_hand(self._net)
            return
        moved = self._chosen(self.inner)
        ahead = self.fast and self._is_start_of_batch(self.inner_x)
        first, rest = split(self.model, moved) if ahead else (nn.Identity(), self.model)
        self._rest: nn.Module = rest
        self._ahead = first(self.mb_x)
        images = self._ahead if ahead else self.inner_x
        for i in range(self.inner_images):
            image = images[i : i + 1].detach() if self.first_order else images[i : i + 1]
            loss = self._criterion(functional_call(self._rest, moved, (image,)), self.inner_y[i : i + 1])
            gradients = torch.autograd.grad(loss, list(moved.values()), create_graph=not self.first_order)
            moved = {name: w - self.inner_lr * g for (name, w), g in zip(moved.items(), gradients)}
        self._moved = moved

    def _meta_gradients(
        self, images: Tensor, labels: Tensor, outer_images: Tensor, outer_labels: Tensor
    ) -> tuple[Tensor, ...]:
        moved = start = dict(self.model.named_parameters())
        for i in range(self.inner_images):
            loss = self._criterion(functional_call(self.model, moved, (images[i : i + 1],)), labels[i : i + 1])
            gradients = torch.autograd.grad(loss, list(moved.values()), create_graph=not self.first_order)
            moved = {name: w - self.inner_lr * g for (name, w), g in zip(moved.items(), gradients)}
        output = functional_call(self.model, moved, (outer_images,))
        loss = self._criterion(output, outer_labels)
        return output.detach(), loss.detach(), *torch.autograd.grad(loss, list(start.values()))

    def _outer_update(self, **kwargs: Any) -> None:
        self.optimizer.zero_grad()
        if self._net is not None:
            self._backpropagate_by_hand(self._net)
        elif self._graphs:
            inputs = self.inner_x, self.inner_y, self.mb_x, self.mb_y
            output, loss, *meta_gradients = self._graphs[0](*inputs)
            self.mb_output, self.loss = output.clone(), loss.clone()  # the next episode writes into the graph's own
            for parameter, gradient in zip(self.model.parameters(), meta_gradients):
                parameter.grad = gradient
        else:
            start = self._chosen(self.outer)
            self.mb_output = functional_call(self._rest, self._moved, (self._ahead,))
            self.loss = self.criterion()
            for parameter, gradient in zip(start.values(), torch.autograd.grad(self.loss, list(start.values()))):
                parameter.grad = gradient
            self._moved, self._ahead = {}, None
        self.optimizer.step()

    def _descend_by_hand(self, net: ManualGradients) -> None:
        self._steps: list[Step] | None = None if self.first_order else []
        self._masks: tuple[Tensor, Tensor] | None = None
        if self._gate is not None:
            outer = torch.sigmoid(self._gate(self.mb_x))
            same = self._is_start_of_batch(self.inner_x)
            self._masks = outer[: self.inner_images] if same else torch.sigmoid(self._gate(self.inner_x)), outer
        masks = self._masks[0].detach() if self._masks else None
        net.load()
        net.descend(self.inner_x, self.inner_y, lr=self.inner_lr, steps=self._steps, masks=masks)

    def _backpropagate_by_hand(self, net: ManualGradients) -> None:
        masks = self._masks[1].detach() if self._masks else None
        self.mb_output = net.backpropagate(self.mb_x, self.mb_y, masks)
        self.loss = self.criterion()
        inner = [] if self._steps is None else through(net, self._steps, lr=self.inner_lr)
        net.assign_gradients()
        if self._masks and net.grad_masks is not None:
            of_inner = torch.stack(inner) if inner else torch.zeros_like(self._masks[0])
            torch.autograd.backward(self._masks, [of_inner, net.grad_masks])
            self._masks = None

    def _is_start_of_batch(self, images: Tensor) -> bool:
        """Returns whether these are the first images of the outer batch, as they are unless a plug-in changes them."""
        return bool(images.data_ptr() == self.mb_x.data_ptr()) and images.shape[1:] == self.mb_x.shape[1:]

    def _chosen(self, patterns: Sequence[str]) -> dict[str, Tensor]:
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        return {name: p for name, p in named if any(fnmatchcase(name, pattern) for pattern in patterns)}
