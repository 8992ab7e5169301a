"""Compiled loops of a block after its convolution: instance norm, ReLU and max-pooling, and their derivatives.

Images are `(n, height, width, channels)`, so that every inner loop runs over contiguous channels. Each kernel writes
into arrays that it is given. Sums run in one fixed order.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

_OPTIONS = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True}


def compiled(function: Callable[..., Any], *, parallel: bool = False) -> Callable[..., Any]:
    """Compiles at the first call; the code is kept beside the source or in the user's cache, where it can be.

    With `parallel`, loops over `numba.prange` use numba's threads; without, they are loops. Numba keeps code by the
    function's name whatever the options, so that the parallel one is a copy with another name.
    """
    if parallel:
        function = FunctionType(function.__code__, function.__globals__, f"{function.__name__}_parallel")
        function.__qualname__ = function.__name__
    try:
        return cast(Callable[..., Any], njit(cache=True, parallel=parallel, **_OPTIONS)(function))
    except RuntimeError:  # neither place can be written to
        return cast(Callable[..., Any], njit(parallel=parallel, **_OPTIONS)(function))


@compiled
def _largest(y: Array, i: int, j: int, scale: Array, winner: Array, place: Array) -> None:
    """Of the 2x2 window at `i`, `j`: the value whose product with `scale` is largest, and which it is."""
    first, second, third, fourth = y[i, j], y[i, j + 1], y[i + 1, j], y[i + 1, j + 1]
    for c in range(len(winner)):
        which, best = np.int32(0), first[c]
        better = scale[c] * second[c] > scale[c] * best
        which, best = np.int32(1) if better else which, second[c] if better else best
        better = scale[c] * third[c] > scale[c] * best
        which, best = np.int32(2) if better else which, third[c] if better else best
        better = scale[c] * fourth[c] > scale[c] * best
        winner[c], place[c] = fourth[c] if better else best, np.int32(3) if better else which


@compiled
def normalise(
    y: Array,
    scale: Array,
    shift: Array,
    epsilon: float,
    pool: int,
    pad: int,
    out: Array,
    winner: Array,
    place: Array,
    mean: Array,
    rstd: Array,
) -> None:
    """Instance norm, ReLU and `pool` x `pool` max-pooling (`pool` 1 or 2) of `y`, into the inside of a padded `out`.

    Norm and ReLU are monotone in each channel, so that the raw values are pooled first: their largest, or smallest
    where `scale` is negative. It goes to `winner`, and which of the window it was to `place`: the first of equals,
    as in torch. Statistics are of the whole map: the mean, a plain sum in the type of `y`, is corrected by the mean of
    what is left (Chan, Golub and LeVeque, *Algorithms for Computing the Sample Variance*, 1983, equation 1.7), without
    which outputs in float32 are 40 times further from float64's than torch's are. Not-a-number stays so.
    """
    height, width, channels = y.shape[1:]
    rest = np.zeros(channels, y.dtype)
    for n in range(y.shape[0]):
        average, inverse = mean[n], rstd[n]
        average[:] = 0
        inverse[:] = 0
        rest[:] = 0
        for i in range(height):
            for j in range(width):
                pixel = y[n, i, j]
                for c in range(channels):
                    average[c] += pixel[c]
        for c in range(channels):
            average[c] /= height * width
        for i in range(height):
            for j in range(width):
                pixel = y[n, i, j]
                for c in range(channels):
                    centred = pixel[c] - average[c]
                    rest[c] += centred
                    inverse[c] += centred * centred
        for c in range(channels):
            left = rest[c] / (height * width)
            average[c] += left
            inverse[c] = 1 / np.sqrt(inverse[c] / (height * width) - left * left + epsilon)
        for i in range(winner.shape[1]):
            for j in range(winner.shape[2]):
                if pool == 2:
                    _largest(y[n], 2 * i, 2 * j, scale, winner[n, i, j], place[n, i, j])
                else:
                    winner[n, i, j] = y[n, i, j]
                best, into = winner[n, i, j], out[n, i + pad, j + pad]
                for c in range(channels):
                    z = (best[c] - average[c]) * inverse[c] * scale[c] + shift[c]
                    into[c] = 0 if z < 0 else z


@compiled
def normalise_back(
    y: Array,
    scale: Array,
    shift: Array,
    pool: int,
    pad: int,
    grad: Array,
    winner: Array,
    place: Array,
    mean: Array,
    rstd: Array,
    to_scale: Array,
    to_shift: Array,
    factor: float,
) -> None:
    """Backward of `normalise`: `grad` is laid out as `out` was, and `y` is overwritten by its own gradient.

    With u = (y - mean) * rstd and h the gradient of a winner whose ReLU is open (0 for all other pixels):
    dy = rstd * scale * (h - mean(h) - u * mean(h * u)). Adds `factor` times the sum of h * u to `to_scale`, which may
    be `scale` itself, and that of h to `to_shift`.
    """
    height, width, channels = y.shape[1:]
    size = height * width
    total, aligned, slope = np.zeros(channels, y.dtype), np.zeros(channels, y.dtype), np.zeros(channels, y.dtype)
    for n in range(y.shape[0]):
        average, inverse = mean[n], rstd[n]
        total[:] = 0
        aligned[:] = 0
        for i in range(winner.shape[1]):
            for j in range(winner.shape[2]):
                best, from_out = winner[n, i, j], grad[n, i + pad, j + pad]
                for c in range(channels):
                    u = (best[c] - average[c]) * inverse[c]
                    h = from_out[c] if u * scale[c] + shift[c] > 0 else 0 * u
                    best[c] = h
                    total[c] += h
                    aligned[c] += h * u
        for c in range(channels):
            slope[c] = inverse[c] * scale[c]
            to_shift[c] += factor * total[c]
            to_scale[c] += factor * aligned[c]
            total[c] *= slope[c] / size
            aligned[c] *= slope[c] * inverse[c] / size
        for i in range(height):
            for j in range(width):
                pixel = y[n, i, j]
                for c in range(channels):
                    pixel[c] = (average[c] - pixel[c]) * aligned[c] - total[c]
        for i in range(winner.shape[1]):
            for j in range(winner.shape[2]):
                for k in range(pool * pool):
                    pixel = y[n, pool * i + k // pool, pool * j + k % pool]
                    best, which = winner[n, i, j], place[n, i, j]
                    for c in range(channels):
                        pixel[c] += slope[c] * (best[c] if which[c] == k else 0 * best[c])


@compiled
def normalise_along(
    y: Array,
    y_along: Array,
    scale: Array,
    scale_along: Array,
    shift_along: Array,
    pool: int,
    pad: int,
    out: Array,
    out_along: Array,
    winner: Array,
    winner_along: Array,
    place: Array,
    mean: Array,
    rstd: Array,
    mean_along: Array,
    slant: Array,
) -> None:
    """Derivative of `normalise` along a direction, for one image; what ends in `_along` is the derivative of the rest.

    With u = (y - mean) * rstd and `slant` = mean(u * y'): u' = rstd * (y' - mean(y') - u * slant), of which the
    winners' goes to `winner_along`.
    """
    height, width, channels = y.shape[1:]
    average, inverse = mean[0], rstd[0]
    mean_along[:] = 0
    slant[:] = 0
    for i in range(height):
        for j in range(width):
            pixel, moved = y[0, i, j], y_along[0, i, j]
            for c in range(channels):
                mean_along[c] += moved[c]
                slant[c] += (pixel[c] - average[c]) * moved[c]
    for c in range(channels):
        mean_along[c] /= height * width
        slant[c] *= inverse[c] / (height * width)
    for i in range(winner.shape[1]):
        for j in range(winner.shape[2]):
            best, moving, which = winner[0, i, j], winner_along[0, i, j], place[0, i, j]
            for k in range(pool * pool):
                moved = y_along[0, pool * i + k // pool, pool * j + k % pool]
                if k == 0:
                    for c in range(channels):
                        moving[c] = moved[c] if which[c] == 0 else 0 * best[c]
                else:  # a sum: a choice between two rows of memory becomes no vector instructions
                    for c in range(channels):
                        moving[c] += moved[c] if which[c] == k else 0 * best[c]
            opened, into = out[0, i + pad, j + pad], out_along[0, i + pad, j + pad]
            for c in range(channels):
                u = (best[c] - average[c]) * inverse[c]
                moving[c] = inverse[c] * (moving[c] - mean_along[c] - u * slant[c])
                z = scale_along[c] * u + scale[c] * moving[c] + shift_along[c]
                into[c] = z if opened[c] > 0 else 0 * z


@compiled
def normalise_back_along(
    y: Array,
    y_along: Array,
    scale: Array,
    scale_along: Array,
    shift_along: Array,
    pool: int,
    pad: int,
    out: Array,
    grad: Array,
    grad_along: Array,
    winner: Array,
    winner_along: Array,
    place: Array,
    mean: Array,
    rstd: Array,
    mean_along: Array,
    slant: Array,
    factor: float,
) -> None:
    """Derivative of `normalise_back` along a direction, for one image, and that backward itself.

    `y` is overwritten by its gradient and `y_along` by that gradient's derivative; `factor` times the derivatives of
    the gradients of scale and shift are added to `scale_along` and `shift_along`.
    """
    height, width, channels = y.shape[1:]
    size = height * width
    average, inverse = mean[0], rstd[0]
    total, total_along = np.zeros(channels, y.dtype), np.zeros(channels, y.dtype)
    aligned, aligned_along = np.zeros(channels, y.dtype), np.zeros(channels, y.dtype)
    slope, slope_along = np.zeros(channels, y.dtype), np.zeros(channels, y.dtype)
    for i in range(winner.shape[1]):
        for j in range(winner.shape[2]):
            best, moving, opened = winner[0, i, j], winner_along[0, i, j], out[0, i + pad, j + pad]
            from_out, from_out_along = grad[0, i + pad, j + pad], grad_along[0, i + pad, j + pad]
            for c in range(channels):
                u = (best[c] - average[c]) * inverse[c]
                h = from_out[c] if opened[c] > 0 else 0 * u
                h_along = from_out_along[c] if opened[c] > 0 else 0 * u
                total[c] += h
                aligned[c] += h * u
                total_along[c] += h_along
                aligned_along[c] += h_along * u + h * moving[c]
                best[c] = h
                moving[c] = h_along
    for c in range(channels):
        slope[c] = inverse[c] * scale[c]
        slope_along[c] = inverse[c] * (scale_along[c] - inverse[c] * slant[c] * scale[c])
    for i in range(height):
        for j in range(width):
            pixel, moved = y[0, i, j], y_along[0, i, j]
            for c in range(channels):
                u = (pixel[c] - average[c]) * inverse[c]
                u_along = inverse[c] * (moved[c] - mean_along[c] - u * slant[c])
                rest = -(total[c] + u * aligned[c]) / size
                rest_along = -(total_along[c] + u_along * aligned[c] + u * aligned_along[c]) / size
                pixel[c] = slope[c] * rest
                moved[c] = slope_along[c] * rest + slope[c] * rest_along
    for i in range(winner.shape[1]):
        for j in range(winner.shape[2]):
            best, moving, which = winner[0, i, j], winner_along[0, i, j], place[0, i, j]
            for k in range(pool * pool):
                a, b = pool * i + k // pool, pool * j + k % pool
                pixel, moved = y[0, a, b], y_along[0, a, b]
                for c in range(channels):
                    here = which[c] == k
                    pixel[c] += slope[c] * best[c] if here else 0 * best[c]
                    moved[c] += slope_along[c] * best[c] + slope[c] * moving[c] if here else 0 * best[c]
    for c in range(channels):
        shift_along[c] += factor * total_along[c]
        scale_along[c] += factor * aligned_along[c]
