"""A block of the paper's network on the CPU: its forward and backward pass without autograd.

A block is a convolution, computed in the way that is fastest for its sizes (`convolutions`), and two compiled loops
(`kernels`). A convolution's bias is ignored: the norm that follows takes it away again, so that its gradient is 0.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.networks.convolutions import Convolution, Form, convolution
from zapbench.networks.kernels import Array, normalise, normalise_back


def block_layers(model: Classifier) -> list[tuple[nn.Conv2d, nn.GroupNorm, int]] | None:
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
