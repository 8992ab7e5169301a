"""Gradients of the paper's network on the CPU without autograd: the same to rounding, and sooner.

A block is a convolution, computed in the way that is fastest for its sizes (`convolutions`), and two compiled loops
(`kernels`). A convolution's bias is ignored: the norm that follows takes it away again, so that its gradient is 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from zapbench.networks.classifier import Classifier
from zapbench.networks.convolutions import Convolution, Form, convolution
from zapbench.networks.kernels import Array, normalise, normalise_back
from zapbench.networks.low_rank import LowRankChanges
from zapbench.networks.products import multiply


def reason_against_structure(model: nn.Module) -> str:
    """Returns in words why a network is not a plain one of the convnet family, or nothing where it is."""
    if type(model) is not Classifier or type(model.head) is not nn.Linear or _layers(model) is None:
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


def _layers(model: Classifier) -> list[tuple[nn.Conv2d, nn.GroupNorm, int]] | None:
    """Returns each block's convolution, norm and pooling (1 for none), or None where the encoder is another one."""
    if type(model.encoder) is not nn.Sequential:
        return None
    layers = list(model.encoder)
    found: list[tuple[nn.Conv2d, nn.GroupNorm, int]] = []
    while len(layers) > 1:
        convolution, norm, activation = layers[:3] if len(layers) > 2 else (None, None, None)
        if not (isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.GroupNorm) and type(activation) is nn.ReLU):
            return None
        if isinstance(convolution.padding, str):
            return None
        inputs, filters, padding = convolution.in_channels, convolution.out_channels, int(convolution.padding[0])
        with torch.device("meta"):  # draws no weights
            plain = nn.Conv2d(inputs, filters, 3, padding=padding), nn.GroupNorm(filters, filters, eps=norm.eps)
        if repr(plain) != repr((convolution, norm)):
            return None
        pool = 2 if repr(layers[3]) == repr(nn.MaxPool2d(2)) else 1
        found.append((convolution, norm, pool))
        layers = layers[2 + pool :]
    return found if found and repr(layers) == repr([nn.Flatten()]) else None


class Part:
    """What a block keeps, between forward and backward, of images that go through it together; layouts as in `kernels`.

    Attributes:
        x: their padded input; the block before writes it.
        grad_x: the gradient of `x`.
        form: `x` as the convolution works with it.
        y: the convolution's output, and in the backward its gradient.
        out: what the block puts out: the next block's `x`, or the last one's output.
        grad_out: the gradient of `out`.
        winner: the raw values that pooling kept, and in the backward their gradient.
        place: which of its window each was.
        mean: of each map.
        rstd: one over each map's standard deviation.
    """

    def __init__(self, block: "Block", x: Array, grad_x: Array, out: Array, grad_out: Array) -> None:
        images, height, width, _ = x.shape
        self.shape = images, height - 2, width - 2, block.filters
        pooled = images, (height - 2) // block.pool, (width - 2) // block.pool, block.filters
        self.x, self.grad_x, self.out, self.grad_out = x, grad_x, out, grad_out
        self.form: Form = None
        self.y = np.empty(0, x.dtype)
        self.winner, self.place = np.zeros(pooled, x.dtype), np.zeros(pooled, np.int8)
        self.mean, self.rstd = (np.zeros((images, block.filters), x.dtype) for _ in range(2))


class Maps:
    """What a block keeps of a batch.

    Attributes:
        x: the images, padded.
        out: what the block puts out, padded by `out_pad` pixels for the next block.
        grad_out: its gradient.
        way: how the convolution is computed.
        weight: its weights as `way` works with them.
        parts: the images that go through the block together.
    """

    def __init__(self, block: "Block", x: Array, grad_x: Array, out: Array, grad_out: Array, out_pad: int) -> None:
        self.x, self.out, self.grad_out, self.out_pad = x, out, grad_out, out_pad
        self.way = convolution(x.shape, block.filters, block.weight.dtype)
        self.weight: Form = None
        together = max(1, min(len(x), self.way.together(x.shape, block.filters, x.itemsize)))
        pieces = [slice(first, first + together) for first in range(0, len(x), together)]
        self.parts = [Part(block, x[at], grad_x[at], out[at], grad_out[at]) for at in pieces]


class Block:
    """A 3x3 convolution without bias, instance norm, ReLU and max-pooling.

    `weight` `(filters, 9 * inputs)`, `scale` and `shift` `(filters,)` are the layers' own memory after `load`, and
    others after a step; `grad`, `grad_scale` and `grad_shift` are their gradients.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.GroupNorm, pool: int) -> None:
        self._convolution = convolution
        self._norm = norm
        self.inputs, self.filters = convolution.in_channels, convolution.out_channels
        self.pad, self.pool, self.epsilon = int(convolution.padding[0]), pool, norm.eps
        self.load()
        self.dtype = self.scale.dtype
        self.grad = torch.empty_like(self.weight)
        self.grad_scale, self.grad_shift = np.empty_like(self.scale), np.empty_like(self.shift)

    def load(self) -> None:
        """Takes the layers' weights, whose channels come last in memory from now on."""
        convolution, norm = self._convolution, self._norm
        if not convolution.weight.is_contiguous(memory_format=torch.channels_last):
            convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last)
        self.weight = convolution.weight.detach().permute(0, 2, 3, 1).reshape(self.filters, -1)
        self.scale, self.shift = norm.weight.detach().numpy(), norm.bias.detach().numpy()

    def store(self) -> None:
        """Gives the layers the weights."""
        self._convolution.weight.detach().copy_(self._as_torch(self.weight))
        self._norm.weight.detach().copy_(torch.from_numpy(self.scale))
        self._norm.bias.detach().copy_(torch.from_numpy(self.shift))

    def release(self) -> None:
        """Lays the layers' weights out as torch does."""
        self._convolution.weight.data = self._convolution.weight.data.contiguous()

    def gradients(self) -> list[tuple[Tensor, Tensor]]:
        """Returns the layers' parameters and their gradients, as long as no others are computed."""
        convolution, norm = self._convolution, self._norm
        found: list[tuple[Tensor, Tensor]] = [(convolution.weight, self._as_torch(self.grad))]
        if convolution.bias is not None:
            found.append((convolution.bias, torch.zeros_like(convolution.bias)))
        scale, shift = torch.from_numpy(self.grad_scale), torch.from_numpy(self.grad_shift)
        return [*found, (norm.weight, scale), (norm.bias, shift)]

    def _as_torch(self, weight: Tensor) -> Tensor:
        return weight.view(self.filters, 3, 3, self.inputs).permute(0, 3, 1, 2)

    def clear(self) -> None:
        """Sets the gradients to 0."""
        self.grad.zero_()
        self.grad_scale[:] = 0
        self.grad_shift[:] = 0

    def forward(self, maps: Maps) -> None:
        """Puts `maps.x` through the block."""
        maps.weight = maps.way.weights(self.weight)
        for part in maps.parts:
            part.form = maps.way.images(part.x)
            part.y = maps.way.forward(part.form, maps.weight, part.shape)
            normalise(
                part.y, self.scale, self.shift, self.epsilon, self.pool, maps.out_pad, part.out,
                part.winner, part.place, part.mean, part.rstd,
            )  # fmt: skip

    def keep(self, maps: Maps) -> "Kept":
        """Returns what a step along the gradient of one image is taken back from; `maps` has all but the backward."""
        (part,) = maps.parts
        form = part.form.clone() if maps.way.is_view else part.form
        copies = (part.y, part.out, part.grad_out, part.winner, part.place, part.mean, part.rstd)
        return Kept(self.weight, self.scale, self.shift, maps.way, form, *(array.copy() for array in copies))

    def backward(self, maps: Maps, *, lr: float | None, inwards: bool) -> None:
        """Takes weights a step along the gradient at rate `lr`, or, where it is None, adds to the block's gradients.

        Args:
            maps: of the forward, with `grad_out` filled in.
            lr: the rate; the tensors that held the weights before the step are not changed.
            inwards: whether the gradient of `maps.x` is wanted.
        """
        scale, shift, factor = self.grad_scale, self.grad_shift, 1.0
        if lr is not None:
            scale, shift, factor = self.scale.copy(), self.shift.copy(), -lr
        for part in maps.parts:
            normalise_back(
                part.y, self.scale, self.shift, self.pool, maps.out_pad, part.grad_out,
                part.winner, part.place, part.mean, part.rstd, scale, shift, factor,
            )  # fmt: skip
            form = maps.way.gradients(part.y)
            if inwards:
                maps.way.by_images(form, maps.weight, part.grad_x)
            grad = maps.way.by_weights(part.form, form)
            if lr is None:
                self.grad.add_(grad)
            else:
                self.weight = torch.add(self.weight, grad, alpha=-lr, out=grad)
        if lr is not None:
            self.scale, self.shift = scale, shift


@dataclass(frozen=True)
class Kept:
    """What a block's inner step started from, and what it made of its image on the way, as `Block` and `Part` name it.

    `y` and `winner` are those of the forward pass; `way` is how the convolution was computed.
    """

    weight: Tensor
    scale: Array
    shift: Array
    way: Convolution
    form: Form
    y: Array
    out: Array
    grad_out: Array
    winner: Array
    place: Array
    mean: Array
    rstd: Array


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
        self.blocks = [Block(*layers) for layers in _layers(model) or ()]
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


def put_images(images: Tensor, x: Array, pad: int) -> None:
    """Writes images `(n, channels, height, width)` into the inside of padded ones `(n, height, width, channels)`."""
    height, width = images.shape[2:]
    torch.from_numpy(x)[:, pad : pad + height, pad : pad + width].copy_(images.permute(0, 2, 3, 1))


def as_features(maps: Array) -> Tensor:
    """Returns the last block's maps `(n, height, width, filters)` in the order of torch's features `(n, features)`."""
    return torch.from_numpy(maps).permute(0, 3, 1, 2).flatten(1)


def put(features: Tensor, maps: Array) -> None:
    """Writes features into maps: the inverse of `as_features`."""
    images, height, width, filters = maps.shape
    torch.from_numpy(maps).copy_(features.view(images, filters, height, width).permute(0, 2, 3, 1))
