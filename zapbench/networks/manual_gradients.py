"""Gradients of the paper's network on the CPU without autograd: the same to rounding, and sooner.

The network is a chain of blocks (`blocks`) and a linear head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from zapbench.networks.blocks import Block, Kept, Maps, as_features, block_layers, put, put_images
from zapbench.networks.classifier import Classifier
from zapbench.networks.kernels import Array
from zapbench.networks.low_rank import LowRankChanges
from zapbench.networks.products import multiply


def reason_against_structure(model: nn.Module) -> str:
    """Returns in words why a network is not a plain one of the convnet family, or nothing where it is."""
    if type(model) is not Classifier or type(model.head) is not nn.Linear or block_layers(model) is None:
        return "the network is not of the convnet family"
    if any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules()):
        return "the network has hooks"
    return ""


def reason_against(model: nn.Module) -> str:
    """Returns in words why `ManualGradients` cannot stand in for autograd, or nothing where it can."""
    if (reason := reason_against_structure(model)) or not isinstance(model, Classifier):
        return reason
    kinds = {(p.device.type, p.dtype, p.requires_grad) for p in model.parameters()}
    if kinds not in ({("cpu", torch.float32, True)}, {("cpu", torch.float64, True)}) or model.head.bias is None:
        return "parameters are frozen, missing, not on the CPU, or neither float32 nor float64"
    return ""


def is_mean_cross_entropy(criterion: Any) -> bool:
    """Returns whether a loss is the mean cross-entropy, without options."""
    return type(criterion) is nn.CrossEntropyLoss and vars(criterion) == vars(nn.CrossEntropyLoss())


@dataclass(frozen=True)
class Step:
    """What undoes an inner step: what each block kept, the head's error and inputs, label and mask."""

    kept: list[Kept]
    error: Tensor
    features: Tensor
    label: int
    mask: Tensor | None = None


class ManualGradients:
    """Gradients of a model that `convnet` made, without autograd; see `reason_against`.

    It works on the model's own weights until `descend` moves on to others.

    Attributes:
        weight: of the head; its gradient is `grad`, that of its bias `grad_bias`.
        grad_masks: the gradient of the masks that `backpropagate` was given `(n, features)`.
    """

    def __init__(self, model: Classifier) -> None:
        self._head = model.head
        self.blocks = [Block(*layers) for layers in block_layers(model) or ()]
        self.grad, self.grad_bias = torch.empty_like(model.head.weight), torch.empty_like(model.head.bias)
        self.grad_masks: Tensor | None = None
        self._kept: dict[tuple[int, ...], list[Maps]] = {}
        self._forward: tuple[list[Maps], Tensor, Tensor | None] = [], torch.empty(0), None
        self.load()

    def load(self) -> None:
        """Takes the model's weights: those of the convolutions are laid out channels last from now on."""
        self.weight, self.bias = self._head.weight.detach(), self._head.bias.detach()
        for block in self.blocks:
            block.load()

    def store(self) -> None:
        """Gives the model the weights that `descend` ended at."""
        self._head.weight.detach().copy_(self.weight)
        self._head.bias.detach().copy_(self.bias)
        for block in self.blocks:
            block.store()

    def release(self) -> None:
        """Lays the model's weights out as torch does."""
        for block in self.blocks:
            block.release()

    def gradients(self) -> list[tuple[Tensor, Tensor]]:
        """Returns the model's parameters and their gradients, in the model's order, until others are computed."""
        blocks = [pair for block in self.blocks for pair in block.gradients()]
        return [*blocks, (self._head.weight, self.grad), (self._head.bias, self.grad_bias)]

    def assign_gradients(self) -> None:
        """Makes the gradients those of the model's parameters, until others are computed."""
        for parameter, gradient in self.gradients():
            parameter.grad = gradient

    @torch.no_grad()
    def descend(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        lr: float,
        steps: list[Step] | None = None,
        masks: Tensor | None = None,
    ) -> None:
        """Steps of plain SGD, an image each; the model stays where it is, `store` moves it.

        Args:
            images: `(n, channels, height, width)`.
            labels: `(n,)`.
            lr: the rate.
            steps: where the steps are kept, if they are to be taken back.
            masks: what an image's features are multiplied by `(n, features)`; None for nothing.
        """
        maps = self.maps(images[:1])
        head = LowRankChanges(self.weight, -lr)
        for i, (image, label) in enumerate(zip(images, labels.tolist())):
            mask = None if masks is None else masks[i]
            features = _times(self.features(maps, image[None])[0], mask)
            error = head.times(features).add_(self.bias).softmax(0)
            error[label] -= 1
            put(_times(head.transposed_times(error[None]), mask), maps[-1].grad_out)
            head.add(error, features)
            self.bias = torch.add(self.bias, error, alpha=-lr)
            kept: list[Kept] | None = None if steps is None else []
            self._back(maps, lr=lr, kept=kept)
            if steps is not None and kept is not None:
                steps.append(Step(kept, error, features, label, mask))
        self.weight = head.apply()

    def __call__(self, images: Tensor) -> Tensor:
        """Returns logits `(n, outputs)` by the model's weights, which autograd takes for those of the model.

        Their gradient is to be taken before the next call.
        """
        self.load()
        logits: Tensor = _Logits.apply(self, images, *(parameter for parameter, _ in self.gradients()))
        return logits

    @torch.no_grad()
    def backpropagate(self, images: Tensor, labels: Tensor, masks: Tensor | None = None) -> Tensor:
        """Computes the gradients of the mean cross-entropy, also by the masks; returns the logits `(n, outputs)`."""
        logits = self.forward(images, masks)
        error = logits.softmax(1)
        error[torch.arange(len(labels)), labels] -= 1
        self.backward(error.div_(len(labels)))
        return logits

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Returns logits, and keeps what `backward` needs."""
        maps = self.maps(images)
        features = _times(self.features(maps, images), masks)
        self._forward = maps, features, masks
        return multiply(features, self.weight.t()).add_(self.bias)

    def backward(self, error: Tensor) -> None:
        """Computes the gradients from that of the logits `(n, outputs)` of the last `forward`."""
        maps, features, masks = self._forward
        for block in self.blocks:
            block.clear()
        self.grad, self.grad_bias = multiply(error.t(), features), error.sum(0)
        back = multiply(error, self.weight)
        self.grad_masks = None if masks is None else back * as_features(maps[-1].out)
        put(_times(back, masks), maps[-1].grad_out)
        self._back(maps, lr=None)

    def features(self, maps: list[Maps], images: Tensor) -> Tensor:
        """Returns the encoder's features `(n, features)`, and keeps in `maps` what a backward needs."""
        put_images(images, maps[0].x, self.blocks[0].pad)
        for block, own in zip(self.blocks, maps):
            block.forward(own)
        return as_features(maps[-1].out)

    def _back(self, maps: list[Maps], *, lr: float | None, kept: list[Kept] | None = None) -> None:
        for block, own in zip(reversed(self.blocks), reversed(maps)):
            if kept is not None:
                kept.insert(0, block.keep(own))
            block.backward(own, lr=lr, inwards=own is not maps[0])

    def maps(self, images: Tensor) -> list[Maps]:
        """Returns the arrays for a batch of this shape, made at the first."""
        shape = tuple(images.shape)
        if shape not in self._kept:
            self._kept[shape] = [Maps(*arguments) for arguments in self.ends(shape)]
        return self._kept[shape]

    def ends(self, shape: tuple[int, ...]) -> list[tuple[Block, Array, Array, Array, Array, int]]:
        """Returns each block and new arrays for images `(n, channels, height, width)`, as `Maps` takes them."""
        images, _, height, width = shape
        number = self.blocks[0].dtype
        ends: list[tuple[Array, Array]] = []  # what goes into each block, and comes out of the last; its gradient
        for block in self.blocks:
            padded = images, height + 2 * block.pad, width + 2 * block.pad, block.inputs
            ends.append((np.zeros(padded, number), np.zeros(padded, number)))
            height, width = ((side + 2 * block.pad - 2) // block.pool for side in (height, width))
        last = images, height, width, self.blocks[-1].filters
        ends.append((np.zeros(last, number), np.zeros(last, number)))
        pads = [block.pad for block in self.blocks[1:]] + [0]
        return [(block, *before, *after, pad) for block, before, after, pad in zip(self.blocks, ends, ends[1:], pads)]


class _Logits(torch.autograd.Function):
    """The logits as a function of the parameters."""

    @staticmethod
    def forward(ctx: Any, net: ManualGradients, images: Tensor, *parameters: Tensor) -> Tensor:
        logits = net.forward(images)
        ctx.net, ctx.kept = net, net._forward
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.kept is not ctx.net._forward:
            raise RuntimeError("the gradient of an earlier forward pass is asked for; it is kept until the next alone")
        ctx.net.backward(error)
        return None, None, *(gradient for _, gradient in ctx.net.gradients())


def _times(features: Tensor, mask: Tensor | None) -> Tensor:
    return features if mask is None else features * mask
