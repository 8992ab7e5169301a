"""Compiled loops around the matrix products of a convolution: 3x3 patches, and Winograd's tiles.

Images are `(n, height, width, channels)`, so that every inner loop runs over contiguous channels.
"""

import numpy as np

from zapbench.networks.kernels import Array, compiled


@compiled
def patches(x: Array, cols: Array) -> None:
    """Writes the 3x3 patches of images `x` as rows `(n * (height - 2) * (width - 2), 9 * channels)` of `cols`."""
    run = 3 * x.shape[3]
    flat = x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3])
    row = 0
    for n in range(x.shape[0]):
        for i in range(x.shape[1] - 2):
            for j in range(x.shape[2] - 2):
                at = j * x.shape[3]
                for k in range(3):
                    for c in range(run):
                        cols[row, k * run + c] = flat[n, i + k, at + c]
                row += 1


@compiled
def add_patches(cols: Array, x: Array) -> None:
    """The transpose of `patches`: sets the images of `x` to the sums of what their pixels' copies in `cols` hold."""
    run = 3 * x.shape[3]
    flat = x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3])
    row = 0
    for n in range(x.shape[0]):
        for i in range(flat.shape[1]):
            for c in range(flat.shape[2]):
                flat[n, i, c] = 0
        for i in range(x.shape[1] - 2):
            for j in range(x.shape[2] - 2):
                at = j * x.shape[3]
                for k in range(3):
                    for c in range(run):
                        flat[n, i + k, at + c] += cols[row, k * run + c]
                row += 1


def tiles_along(pixels: int, size: int, step: int) -> int:
    """Returns how many tiles of `size` pixels, `step` apart, cover so many pixels."""
    return -(-(pixels - size) // step) + 1


@compiled
def to_tiles(x: Array, matrix: Array, step: int, down: int, across: int, tiles: Array) -> None:
    """Writes `matrix @ tile @ matrix.T` of the tiles of `x`, pixels beyond its edge being 0.

    Args:
        x: images.
        matrix: `(result, size)`.
        step: pixels from a tile to the next.
        down: tiles of an image from top to bottom.
        across: the same from left to right.
        tiles: `(result * result, n * down * across, channels)`.
    """
    result, size = matrix.shape
    height, width, channels = x.shape[1:]
    tile = np.zeros((size, size, channels), x.dtype)
    half = np.zeros((result, size, channels), x.dtype)
    for t in range(x.shape[0] * down * across):
        image, top, left = t // (down * across), step * (t // across % down), step * (t % across)
        for i in range(size):
            for j in range(size):
                into = tile[i, j]
                if top + i < height and left + j < width:
                    pixel = x[image, top + i, left + j]
                    for c in range(channels):
                        into[c] = pixel[c]
                else:
                    for c in range(channels):
                        into[c] = 0
        for i in range(result):
            for j in range(size):
                into = half[i, j]
                for c in range(channels):
                    into[c] = 0
                for k in range(size):
                    factor, row = matrix[i, k], tile[k, j]
                    if factor != 0:
                        for c in range(channels):
                            into[c] += factor * row[c]
        for i in range(result):
            for j in range(result):
                into = tiles[i * result + j, t]
                for c in range(channels):
                    into[c] = 0
                for k in range(size):
                    factor, row = matrix[j, k], half[i, k]
                    if factor != 0:
                        for c in range(channels):
                            into[c] += factor * row[c]


@compiled
def from_tiles(tiles: tuple[Array, ...], matrix: Array, step: int, down: int, across: int, x: Array) -> None:
    """Adds `matrix @ tile @ matrix.T` of each tile to its place in `x`, but for what lies beyond its edge.

    Args:
        tiles: element (i, j) of all tiles `(n * down * across, channels)`, row by row.
        matrix: `(size, elements of a row)`.
        step: pixels from a tile to the next.
        down: tiles of an image from top to bottom.
        across: the same from left to right.
        x: images.
    """
    size, inner = matrix.shape
    height, width, channels = x.shape[1:]
    half = np.zeros((size, inner, channels), x.dtype)
    for t in range(x.shape[0] * down * across):
        image, top, left = t // (down * across), step * (t // across % down), step * (t % across)
        for j in range(inner):
            for i in range(size):
                into = half[i, j]
                for c in range(channels):
                    into[c] = 0
            for k in range(inner):
                row = tiles[k * inner + j][t]
                for i in range(size):
                    factor, into = matrix[i, k], half[i, j]
                    if factor != 0:
                        for c in range(channels):
                            into[c] += factor * row[c]
        for i in range(min(size, height - top)):
            for j in range(min(size, width - left)):
                into = x[image, top + i, left + j]
                for k in range(inner):
                    factor, row = matrix[j, k], half[i, k]
                    if factor != 0:
                        for c in range(channels):
                            into[c] += factor * row[c]
