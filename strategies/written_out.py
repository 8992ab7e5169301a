"""The paper's network and its gradient written out: no graph, no copies, an image a time where it fits in the cache.

`WrittenOut` computes what autograd computes, to rounding, for a model that `convnet` made, on the CPU:
each convolution is a matrix product over 3x3 patches, the rest of a block two compiled loops (`kernels`), and the
head's gradient of one image, being of rank one, goes straight into its weights. A convolution's bias is left out: the
norm that follows takes it away again, so that its gradient is 0.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zapbench.models import Classifier
from zapbench.strategies.kernels import add_patches, normalise, normalise_back, patches

CACHE_BYTES = 600_000
"""Images whose patches are no more than this go through a block together."""


def applies(model: nn.Module, criterion: Any) -> bool:
    """Whether `WrittenOut` can stand in for autograd: blocks as in `convnet`, on the CPU, mean cross-entropy."""
    if type(model) is not Classifier or type(model.head) is not nn.Linear or _layers(model) is None:
        return False
    if type(criterion) is not nn.CrossEntropyLoss or vars(criterion) != vars(nn.CrossEntropyLoss()):
        return False
    if any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules()):
        return False
    parameters = list(model.parameters())
    kinds = {(p.device.type, p.dtype, p.requires_grad) for p in parameters}
    return kinds in ({("cpu", torch.float32, True)}, {("cpu", torch.float64, True)}) and model.head.bias is not None


def _layers(model: Classifier) -> list[tuple[nn.Conv2d, nn.GroupNorm, int]] | None:
    """Returns each block's convolution, norm and pooling (1 for none), or None where the encoder is another one."""
    if type(model.encoder) is not nn.Sequential:
        return None
    layers = list(model.encoder)
    found: list[tuple[nn.Conv2d, nn.GroupNorm, int]] = []
    while len(layers) > 1:
        if [type(layer) for layer in layers[:3]] != [nn.Conv2d, nn.GroupNorm, nn.ReLU]:
            return None
        convolution, norm = layers[:2]
        plain = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=convolution.padding[0])
        if repr(plain) != repr(convolution) or norm.num_groups != norm.num_channels or not norm.affine:
            return None
        pool = 2 if repr(layers[3]) == repr(nn.MaxPool2d(2)) else 1
        found.append((convolution, norm, pool))
        layers = layers[2 + pool :]
    return found if found and repr(layers) == repr([nn.Flatten()]) else None


class Maps:
    """What a block keeps of `images` images between forward and backward; layouts as in `kernels`.

    Attributes:
        x: its padded input; the block before writes it.
        grad_x: the gradient of `x`.
        y: the convolution's output, and in the backward its gradient.
        out: what the block puts out: the next block's `x`, padded by `out_pad`, or the last one's output.
        grad_out: the gradient of `out`.
        winner: the raw values that pooling kept, and in the backward their gradient.
        place: which of its window each was.
        mean: of each map.
        rstd: one over each map's standard deviation.
        parts: images that go through the block together: the first, how many, and their rows of `y`, of their patches
            and of the patches' gradient.
        cols: the patches of one part.
        grad_cols: their gradient.
    """

    def __init__(self, images: int, block: "Block", height: int, width: int) -> None:
        number = block.dtype
        inputs, filters, pad, pool = block.inputs, block.filters, block.pad, block.pool
        self.height, self.width = height + 2 * pad - 2, width + 2 * pad - 2
        pooled = (images, self.height // pool, self.width // pool, filters)
        pixels = self.height * self.width
        together = max(1, min(images, CACHE_BYTES // (pixels * 9 * inputs * number.itemsize)))
        self.x = np.zeros((images, height + 2 * pad, width + 2 * pad, inputs), number)
        self.grad_x = np.zeros_like(self.x)
        self.y = np.zeros((images, self.height, self.width, filters), number)
        self.out, self.grad_out, self.out_pad = np.zeros(pooled, number), np.zeros(pooled, number), 0
        self.winner = np.zeros(pooled, number)
        self.place = np.zeros(pooled, np.int8)
        self.mean = np.zeros((images, filters), number)
        self.rstd = np.zeros((images, filters), number)
        self.cols = np.zeros((together * pixels, 9 * inputs), number)
        self.grad_cols = np.zeros_like(self.cols)
        rows, cols, grad_cols = (torch.from_numpy(a) for a in (self.y, self.cols, self.grad_cols))
        rows = rows.view(-1, filters)
        self.parts = []
        for first in range(0, images, together):
            count = min(together, images - first)
            of_y = rows[first * pixels : (first + count) * pixels]
            self.parts.append((first, count, of_y, cols[: count * pixels], grad_cols[: count * pixels]))


class Block:
    """A 3x3 convolution without bias, instance norm, ReLU and max-pooling.

    `weight` `(9 * inputs, filters)` is a copy of the convolution's, to be loaded and stored; `scale` and `shift` are
    the norm's own.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.GroupNorm, pool: int) -> None:
        self._convolution = convolution
        self._norm = norm
        self.inputs, self.filters = convolution.in_channels, convolution.out_channels
        self.pad, self.pool = int(convolution.padding[0]), pool
        self.scale, self.shift = norm.weight.detach().numpy(), norm.bias.detach().numpy()
        self.dtype = self.scale.dtype
        self.weight = torch.empty(9 * self.inputs, self.filters, dtype=convolution.weight.dtype)
        self._grad = torch.empty_like(self.weight)
        self._grad_scale, self._grad_shift = np.zeros_like(self.scale), np.zeros_like(self.shift)

    def _as_torch(self, weight: Tensor) -> Tensor:
        return weight.view(3, 3, self.inputs, self.filters).permute(3, 2, 0, 1)

    def load(self) -> None:
        """Takes the convolution's weights."""
        self._as_torch(self.weight).copy_(self._convolution.weight.detach())

    def store(self) -> None:
        """Gives the convolution the weights back."""
        self._convolution.weight.detach().copy_(self._as_torch(self.weight))

    def forward(self, maps: Maps) -> None:
        """Puts `maps.x` through the block."""
        for first, count, y, cols, _ in maps.parts:
            patches(maps.x, maps.cols, first, count, maps.height, maps.width)
            torch.mm(cols, self.weight, out=y)
            normalise(
                maps.y, self.scale, self.shift, self._norm.eps, self.pool, maps.out_pad, maps.out,
                maps.winner, maps.place, maps.mean, maps.rstd, first, count,
            )  # fmt: skip

    def backward(self, maps: Maps, *, lr: float | None, inwards: bool) -> None:
        """Steps along the gradient at rate `lr`, or, where it is None, adds it to the block's gradients.

        Args:
            maps: of the forward, with `grad_out` filled in.
            lr: the rate.
            inwards: whether `maps.grad_x` is wanted.
        """
        factor = 1.0 if lr is None else -lr
        weight, scale, shift = self.weight, self.scale, self.shift
        if lr is None:
            weight, scale, shift = self._grad, self._grad_scale, self._grad_shift
        for first, count, y, cols, grad_cols in maps.parts:
            normalise_back(
                maps.y, self.scale, self.shift, self.pool, maps.out_pad, maps.grad_out,
                maps.winner, maps.place, maps.mean, maps.rstd, scale, shift, factor, first, count,
            )  # fmt: skip
            if inwards:
                torch.mm(y, self.weight.t(), out=grad_cols)
                add_patches(maps.grad_cols, maps.grad_x, first, count, maps.height, maps.width)
            if len(maps.parts) > 1:
                patches(maps.x, maps.cols, first, count, maps.height, maps.width)
            weight.addmm_(cols.t(), y, alpha=factor)

    def clear(self) -> None:
        """Sets the block's gradients to 0."""
        self._grad.zero_()
        self._grad_scale[:] = 0
        self._grad_shift[:] = 0

    def hand_over(self) -> None:
        """Puts the block's gradients where optimisers look for them."""
        self._convolution.weight.grad = self._as_torch(self._grad).contiguous()
        if self._convolution.bias is not None:
            self._convolution.bias.grad = torch.zeros_like(self._convolution.bias)
        self._norm.weight.grad = torch.from_numpy(self._grad_scale.copy())
        self._norm.bias.grad = torch.from_numpy(self._grad_shift.copy())


class WrittenOut:
    """A model that `convnet` made, its gradient written out; see `applies`."""

    def __init__(self, model: Classifier) -> None:
        self._head = model.head
        self._weight, self._bias = model.head.weight.detach(), model.head.bias.detach()
        self._blocks = [Block(*layers) for layers in _layers(model) or ()]
        self._kept: dict[tuple[int, ...], list[Maps]] = {}

    @torch.no_grad()
    def descend(self, images: Tensor, labels: Tensor, *, lr: float) -> None:
        """Steps of plain SGD in place, an image `(channels, height, width)` each; `lr` is the rate."""
        for block in self._blocks:
            block.load()
        maps = self._maps(images[:1])
        for image, label in zip(images, labels.tolist()):
            features = self._features(maps, image[None])[0]
            error = torch.addmv(self._bias, self._weight, features).softmax(0)
            error[label] -= 1
            grad = torch.mv(self._weight.t(), error)
            self._weight.addmm_(error[:, None], features[None], alpha=-lr)
            self._bias.add_(error, alpha=-lr)
            self._back(maps, grad[None], lr=lr)
        for block in self._blocks:
            block.store()

    @torch.no_grad()
    def gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Sets every parameter's `grad` to that of the mean cross-entropy; returns the logits `(n, outputs)`."""
        for block in self._blocks:
            block.load()
            block.clear()
        maps = self._maps(images)
        features = self._features(maps, images)
        logits = torch.addmm(self._bias, features, self._weight.t())
        error = logits.softmax(1)
        error[torch.arange(len(labels)), labels] -= 1
        error /= len(labels)
        self._head.weight.grad, self._head.bias.grad = error.t() @ features, error.sum(0)
        self._back(maps, error @ self._weight, lr=None)
        for block in self._blocks:
            block.hand_over()
        return logits

    def _features(self, maps: list[Maps], images: Tensor) -> Tensor:
        pad, (height, width) = self._blocks[0].pad, images.shape[2:]
        inside = torch.from_numpy(maps[0].x)[:, pad : pad + height, pad : pad + width]
        inside.copy_(images.permute(0, 2, 3, 1))
        for block, own in zip(self._blocks, maps):
            block.forward(own)
        return torch.from_numpy(maps[-1].out).permute(0, 3, 1, 2).flatten(1)

    def _back(self, maps: list[Maps], grad: Tensor, *, lr: float | None) -> None:
        images, height, width, filters = maps[-1].out.shape
        torch.from_numpy(maps[-1].grad_out).copy_(grad.view(images, filters, height, width).permute(0, 2, 3, 1))
        for block, own in zip(reversed(self._blocks), reversed(maps)):
            block.backward(own, lr=lr, inwards=own is not maps[0])

    def _maps(self, images: Tensor) -> list[Maps]:
        shape = tuple(images.shape)
        if shape not in self._kept:
            maps: list[Maps] = []
            for block in self._blocks:
                height, width = maps[-1].out.shape[1:3] if maps else shape[2:]
                maps.append(Maps(shape[0], block, height, width))
            for own, following, block in zip(maps, maps[1:], self._blocks[1:]):
                own.out, own.grad_out, own.out_pad = following.x, following.grad_x, block.pad
            self._kept[shape] = maps
        return self._kept[shape]
