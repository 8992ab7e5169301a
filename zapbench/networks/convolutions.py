"""3x3 convolutions of stride 1 in three ways, of which the fastest for its sizes on this machine is taken.

A convolution, its gradient by the images and its gradient by the weights are bilinear: each way brings images, weights
and gradients into a form of its own once, and then makes any of the three from a pair of forms. Images are
`(n, height, width, channels)`, padded before; weights `(filters, 9 * channels)` in the order row, column, channel.

- `Patches`: the 3x3 patches as rows of a matrix, and one product; for few images, few channels, and any type of number.
- `Direct`: torch's operator, which is oneDNN's.
- `Winograd`: F(4x4, 3x3) of Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks* (CVPR 2016): 36
  products where a 4x4 tile of outputs takes 144.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight

from zapbench.networks.choices import fastest
from zapbench.networks.convolution_kernels import add_patches, from_tiles, patches, tiles_along, to_tiles
from zapbench.networks.kernels import Array
from zapbench.networks.products import has_onednn, multiply

PATCHES_BYTES = 1_500_000
"""Images whose patches and outputs are no more than this go through `Patches` together: they stay in the cache."""

TILES_BYTES = 30_000_000
"""The same of `Winograd`'s tiles: larger pieces of memory go back to the system each time."""

MEASURED_IMAGES = 128
"""The ways are compared on no more images than this."""

LEAST_OPERATIONS = 200_000
"""Multiply-adds of a convolution below which it is not worth a choice."""

Shape = tuple[int, ...]
Form = Any
"""Images, weights or gradients as a way works with them."""


class Convolution(Protocol):
    """A way to compute a convolution and its two gradients.

    Attributes:
        is_view: whether the form of images is their own memory.
    """

    is_view: bool

    def images(self, x: Array) -> Form:
        """Returns the form of padded images `(n, height, width, inputs)`."""

    def weights(self, weight: Tensor) -> Form:
        """Returns the form of weights `(filters, 9 * inputs)`."""

    def gradients(self, y: Array) -> Form:
        """Returns the form of the gradient of the outputs `(n, height - 2, width - 2, filters)`."""

    def forward(self, x: Form, weight: Form, shape: Shape) -> Array:
        """Returns the outputs, an array of their own."""

    def by_images(self, y: Form, weight: Form, grad_x: Array) -> None:
        """Writes the gradient of the images."""

    def by_weights(self, x: Form, y: Form) -> Tensor:
        """Returns the gradient of the weights `(filters, 9 * inputs)`, a tensor of its own."""

    def together(self, shape: Shape, filters: int, itemsize: int) -> int:
        """Returns how many images of a padded shape are best worked on together."""


class Patches:
    """One product with the patches of 3x3 pixels."""

    is_view = False

    def images(self, x: Array) -> Tensor:
        """Returns the patches `(n * pixels, 9 * channels)`."""
        n, height, width, channels = x.shape
        rows = np.empty((n * (height - 2) * (width - 2), 9 * channels), x.dtype)
        patches(x, rows)
        return torch.from_numpy(rows)

    def weights(self, weight: Tensor) -> Tensor:
        """Returns the weights as they are."""
        return weight

    def gradients(self, y: Array) -> Tensor:
        """Returns the gradient `(n * pixels, filters)`."""
        return torch.from_numpy(y).view(-1, y.shape[3])

    def forward(self, x: Tensor, weight: Tensor, shape: Shape) -> Array:
        """Returns the outputs."""
        return multiply(x, weight.t()).numpy().reshape(shape)

    def by_images(self, y: Tensor, weight: Tensor, grad_x: Array) -> None:
        """Writes the gradient of the images."""
        add_patches(multiply(y, weight).numpy(), grad_x)

    def by_weights(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the weights."""
        narrow = x.shape[1] < y.shape[1]  # then four times as fast the other way round
        return multiply(x.t(), y).t().contiguous() if narrow else multiply(y.t(), x)

    def together(self, shape: Shape, filters: int, itemsize: int) -> int:
        """Returns as many images as have `PATCHES_BYTES`."""
        _, height, width, channels = shape
        return PATCHES_BYTES // ((height - 2) * (width - 2) * (9 * channels + filters) * itemsize)


class Direct:
    """torch's operator on images whose channels are last: oneDNN's."""

    is_view = True

    def images(self, x: Array) -> Tensor:
        """Returns the images as torch has them, channels last in memory."""
        return torch.from_numpy(x).permute(0, 3, 1, 2)

    def weights(self, weight: Tensor) -> Tensor:
        """Returns the weights `(filters, channels, 3, 3)`."""
        return weight.view(len(weight), 3, 3, -1).permute(0, 3, 1, 2)

    def gradients(self, y: Array) -> Tensor:
        """Returns the gradient as torch has it."""
        return self.images(y)

    def forward(self, x: Tensor, weight: Tensor, shape: Shape) -> Array:
        """Returns the outputs."""
        return _channels_last(F.conv2d(x, weight)).numpy()

    def by_images(self, y: Tensor, weight: Tensor, grad_x: Array) -> None:
        """Writes the gradient of the images."""
        n, height, width, channels = grad_x.shape
        grad_x[:] = _channels_last(conv2d_input((n, channels, height, width), weight, y)).numpy()

    def by_weights(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the weights."""
        return _channels_last(conv2d_weight(x, (y.shape[1], x.shape[1], 3, 3), y)).flatten(1)

    def together(self, shape: Shape, filters: int, itemsize: int) -> int:
        """Returns all of them."""
        return shape[0]


def _channels_last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


def _winograd_matrices(points: tuple[float, ...]) -> tuple[Array, Array, Array]:
    """Returns the matrices of F(4, 3) that transform inputs `(6, 6)`, kernel `(6, 3)` and outputs `(4, 6)`.

    See section 2.2 of Barabasz et al., *Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
    Neural Networks* (2020): polynomials are evaluated at five points and at infinity.
    """
    others = [[q for q in points if q != p] for p in points]
    inputs = np.stack([np.append(np.poly(rest)[::-1], 0) for rest in others] + [np.poly(points)[::-1]])
    kernel = np.vander(points, 3, increasing=True)
    kernel = kernel / np.array([[np.prod([p - q for q in rest])] for p, rest in zip(points, others)])
    outputs = np.vander(points, 4, increasing=True)
    return inputs, np.vstack([kernel, np.eye(3)[2]]), np.vstack([outputs, np.eye(4)[3]]).T


class Winograd:
    """F(4x4, 3x3): a product for each of the 36 elements of a transformed tile, over all tiles and channels."""

    is_view = False
    STEP = 4
    INPUTS, KERNEL, OUTPUTS = _winograd_matrices(points=(0, 0.75, -0.75, 1.5, -1.5))
    """B^T, G and A^T of the paper; the gradients take their transposes.

    The largest error of a float32, over the outputs' deviation, at 256 channels: 1.1e-5 with these points, 3.8e-5 with
    the paper's own (0, 1, -1, 2, -2), 1.4e-6 for a plain convolution.
    """

    def images(self, x: Array) -> Tensor:
        """Returns the transformed 6x6 tiles of the images `(36, tiles, channels)`, 4 pixels apart."""
        return _to_tiles(x, self.INPUTS, self.STEP)

    def weights(self, weight: Tensor) -> Tensor:
        """Returns the transformed weights `(36, filters, channels)`."""
        return _to_tiles(weight.view(len(weight), 3, 3, -1).numpy(), self.KERNEL, self.STEP)

    def gradients(self, y: Array) -> Tensor:
        """Returns the transformed 4x4 tiles of the gradient `(36, tiles, filters)`."""
        return _to_tiles(y, self.OUTPUTS.T, self.STEP)

    def forward(self, x: Tensor, weight: Tensor, shape: Shape) -> Array:
        """Returns the outputs."""
        return _from_tiles([multiply(a, b.t()) for a, b in zip(x, weight)], self.OUTPUTS, self.STEP, shape)

    def by_images(self, y: Tensor, weight: Tensor, grad_x: Array) -> None:
        """Writes the gradient of the images."""
        products = [multiply(a, b) for a, b in zip(y, weight)]
        grad_x[:] = _from_tiles(products, self.INPUTS.T, self.STEP, grad_x.shape)

    def by_weights(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the weights."""
        products = [multiply(b.t(), a) for a, b in zip(x, y)]
        shape = y.shape[2], 3, 3, x.shape[2]
        return torch.from_numpy(_from_tiles(products, self.KERNEL.T, self.STEP, shape)).flatten(1)

    def together(self, shape: Shape, filters: int, itemsize: int) -> int:
        """Returns as many images as have `TILES_BYTES`."""
        _, height, width, channels = shape
        tiles = tiles_along(height, 6, self.STEP) * tiles_along(width, 6, self.STEP)
        return TILES_BYTES // (tiles * 36 * max(channels, filters) * itemsize)


def _to_tiles(x: Array, matrix: Array, step: int) -> Tensor:
    result, size = matrix.shape
    down, across = (tiles_along(side, size, step) for side in x.shape[1:3])
    tiles = np.empty((result * result, len(x) * down * across, x.shape[3]), x.dtype)
    to_tiles(x, np.ascontiguousarray(matrix, x.dtype), step, down, across, tiles)
    return torch.from_numpy(tiles)


def _from_tiles(products: Sequence[Tensor], matrix: Array, step: int, shape: Shape) -> Array:
    tiles = tuple(product.numpy() for product in products)
    down, across = (tiles_along(side, len(matrix), step) for side in shape[1:3])
    x = np.zeros(shape, tiles[0].dtype)
    from_tiles(tiles, np.ascontiguousarray(matrix, x.dtype), step, down, across, x)
    return x


WAYS: dict[str, Convolution] = {"patches": Patches(), "direct": Direct(), "winograd": Winograd()}


def convolution(shape: Shape, filters: int, dtype: torch.dtype) -> Convolution:
    """Returns the fastest way for padded images `(n, height, width, inputs)`: forward and both gradients together.

    What is small, and what is not float32, goes by `Patches`.
    """
    n, height, width, inputs = min(shape[0], MEASURED_IMAGES), *shape[1:]
    operations = n * (height - 2) * (width - 2) * 9 * inputs * filters
    if dtype is not torch.float32 or operations < LEAST_OPERATIONS or not has_onednn():
        return WAYS["patches"]
    x = np.ones((n, height, width, inputs), np.float32)
    y = np.ones((n, height - 2, width - 2, filters), np.float32)
    weight = torch.ones(filters, 9 * inputs)
    question = f"convolution of {n}x{height}x{width}x{inputs} by {filters}"
    return WAYS[fastest(question, {name: partial(_run, way, x, weight, y) for name, way in WAYS.items()})]


def _run(way: Convolution, x: Array, weight: Tensor, y: Array) -> None:
    """Computes a convolution and its gradients, the images in pieces as `Block` has them."""
    of_weight = way.weights(weight)
    together = max(1, min(len(x), way.together(x.shape, len(weight), x.itemsize)))
    for first in range(0, len(x), together):
        of_x, of_y = way.images(x[first : first + together]), way.gradients(y[first : first + together])
        way.forward(of_x, of_weight, y[first : first + together].shape)
        if x.shape[3] > 1:
            way.by_images(of_y, of_weight, np.empty_like(x[first : first + together]))
        way.by_weights(of_x, of_y)
