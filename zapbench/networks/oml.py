"""OML's network: Javed and White, *Meta-Learning Representations for Continual Learning* (NeurIPS 2019).

OML is Meta-ASB with this network whose inner loop moves the two linear layers alone
(`MetaASB.inner = ["encoder.hidden.*", "head.*"]`) and whose outer loop moves everything.
"""

from collections import OrderedDict

import gin
from torch import nn

from zapbench.networks.classifier import (
    Classifier,
    HeadInit,
    check_dropout,
    dropout_layers,
    new_head,
    with_dropout,
)

STRIDES = (2, 1, 2, 1, 2, 2)
LEAST_SIDE = 3


@gin.register
def oml(
    *,
    outputs: int,
    channels: int,
    size: int,
    filters: int = 256,
    hidden: int = 1024,
    head_init: HeadInit = "kaiming",
    dropout: float = 0.0,
) -> Classifier:
    """Returns six 3x3 convolutions with ReLU, no norm and no pooling, then a hidden linear layer with ReLU.

    The strides are 2, 1, 2, 1, 2, 2; 84x84 images end in a map of 3x3. Where images are smaller, as many of the last
    strides are 1 as leave 3x3. Weights are Kaiming normal, biases of the convolutions PyTorch's default.

    Args:
        outputs: outputs of the head.
        channels: channels of an image.
        size: height and width of an image in pixels.
        filters: filters a convolution.
        hidden: units of the hidden layer; part of the encoder (`encoder.hidden`), so that the head is one layer.
        head_init: see `new_head`.
        dropout: see `convnet`.

    Raises:
        ValueError: the images are too small, or `dropout` is not allowed.
    """
    check_dropout("oml", dropout)
    strides = fitting_strides(size)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, stride in enumerate(strides):
        convolution = nn.Conv2d(channels if i == 0 else filters, filters, 3, stride=stride)
        nn.init.kaiming_normal_(convolution.weight)
        layers |= {f"convolution{i}": convolution, f"relu{i}": nn.ReLU(inplace=True)}
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = new_head(filters * _side(size, strides) ** 2, hidden)
    layers["relu"] = nn.ReLU(inplace=True)
    layers |= dict(zip(("dropout",), dropout_layers(dropout)))
    name = with_dropout(f"oml6x{filters}", dropout)
    return Classifier(nn.Sequential(layers), new_head(hidden, outputs, init=head_init), name=name)


def fitting_strides(size: int) -> tuple[int, ...]:
    """Returns OML's strides, from the last on 1 as far as the images need it.

    >>> fitting_strides(84), fitting_strides(28)
    ((2, 1, 2, 1, 2, 2), (2, 1, 1, 1, 1, 1))

    Raises:
        ValueError: not even strides of 1 leave 3x3.
    """
    for kept in range(len(STRIDES), -1, -1):
        strides = STRIDES[:kept] + (1,) * (len(STRIDES) - kept)
        if _side(size, strides) >= LEAST_SIDE:
            return strides
    least = LEAST_SIDE + 2 * len(STRIDES)
    raise ValueError(f"oml: images of {size}x{size} are too small; it takes {least}x{least} and larger")


def _side(size: int, strides: tuple[int, ...]) -> int:
    """Returns the side of the last map in pixels."""
    for stride in strides:
        size = (size - 3) // stride + 1
    return size
