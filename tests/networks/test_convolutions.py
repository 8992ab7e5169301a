"""Each way of a convolution against torch's, in both types of number, and which way is taken."""

import pytest
import torch
import torch.nn.functional as F

from zapbench.networks import convolutions
from zapbench.networks.convolutions import WAYS, convolution

SHAPES = [(3, 13, 13, 8), (2, 5, 5, 7), (1, 3, 9, 1), (2, 7, 12, 16)]
FILTERS = 6
TOLERANCE = {"patches": 2e-6, "direct": 2e-6, "winograd": 3e-5}
"""Largest error of a float32, over the deviation of what is computed."""


def case(shape, dtype):
    n, height, width, channels = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    weight = torch.randn(FILTERS, 9 * channels, generator=generator, dtype=dtype) / 3
    y = torch.randn(n, height - 2, width - 2, FILTERS, generator=generator, dtype=dtype)
    return x, weight, y


def computed(name, x, weight, y):
    way = WAYS[name]
    of_x, of_weight, of_y = way.images(x.numpy()), way.weights(weight), way.gradients(y.numpy())
    grad_x = torch.full_like(x, 7.0)
    way.by_images(of_y, of_weight, grad_x.numpy())
    return torch.from_numpy(way.forward(of_x, of_weight, tuple(y.shape))), grad_x, way.by_weights(of_x, of_y)


def expected(x, weight, y):
    images = x.double().permute(0, 3, 1, 2).requires_grad_()
    kernel = weight.double().view(FILTERS, 3, 3, -1).permute(0, 3, 1, 2).requires_grad_()
    out = F.conv2d(images, kernel)
    out.backward(y.double().permute(0, 3, 1, 2))
    return (
        out.detach().permute(0, 2, 3, 1),
        images.grad.permute(0, 2, 3, 1),
        kernel.grad.permute(0, 2, 3, 1).reshape(FILTERS, -1),
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", WAYS)
def test_every_way_is_the_convolution_and_its_gradients(name, shape):
    arguments = case(shape, torch.float64)
    for found, right in zip(computed(name, *arguments), expected(*arguments)):
        torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", WAYS)
def test_float32_stays_within_the_stated_tolerance(name, shape):
    arguments = case(shape, torch.float32)
    for found, right in zip(computed(name, *arguments), expected(*arguments)):
        assert found.dtype is torch.float32
        assert (found - right).abs().max() < TOLERANCE[name] * right.std()


@pytest.fixture
def measured(monkeypatch):
    """What is asked of `fastest`, which answers Winograd."""
    asked = []
    monkeypatch.setattr(convolutions, "fastest", lambda question, ways: asked.append(question) or "winograd")
    return asked


def test_the_fastest_way_is_taken_for_the_sizes(measured):
    assert convolution((84, 13, 13, 32), 32, torch.float32) is WAYS["winograd"]
    assert measured == ["convolution of 84x13x13x32 by 32"]


def test_float64_small_sizes_and_a_torch_without_onednn_go_by_patches(measured, monkeypatch):
    assert convolution((84, 13, 13, 32), 32, torch.float64) is WAYS["patches"]
    assert convolution((1, 5, 5, 4), 4, torch.float32) is WAYS["patches"]
    monkeypatch.setattr(convolutions, "has_onednn", lambda: False)
    assert convolution((84, 13, 13, 32), 32, torch.float32) is WAYS["patches"]
    assert measured == []
