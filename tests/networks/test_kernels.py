"""The compiled loops in float32, beside float64."""

import numpy as np

from zapbench.networks.kernels import normalise


def normalised(y):
    images, channels = y.shape[0], y.shape[3]
    out, winner = np.zeros_like(y), np.zeros_like(y)
    place = np.zeros(y.shape, np.int8)
    mean, rstd = np.zeros((2, images, channels), y.dtype)
    scale, shift = np.ones(channels, y.dtype), np.zeros(channels, y.dtype)
    normalise(y, scale, shift, 1e-5, 1, 0, out, winner, place, mean, rstd)
    return out, mean, rstd


def test_statistics_of_a_map_in_float32_are_as_exact_as_their_type():
    """A plain sum of 676 values is 30 times further from float64's."""
    y = np.random.default_rng(0).normal(20, 1, (4, 26, 26, 64)).astype(np.float32)
    out, mean, rstd = normalised(y)
    expected, exact_mean, exact_rstd = normalised(y.astype(np.float64))
    assert np.abs(mean - exact_mean).max() < 2 * np.spacing(np.float32(20))
    assert np.abs(rstd / exact_rstd - 1).max() < 1e-5
    assert np.abs(out - expected).max() < 3e-5
