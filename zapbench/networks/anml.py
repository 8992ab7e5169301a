"""ANML's network: Beaulieu et al., *Learning to Continually Learn* (ECAI 2020).

ANML is Meta-ASB with this network whose inner loop moves the gated net and the head alone
(`MetaASB.inner = ["encoder.net.*", "head.*"]`) and whose outer loop moves the gate, too.
"""

from collections.abc import Callable

import gin
import torch
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier, convnet


class Gated(nn.Module):
    """A net's features times a mask, feature by feature.

    Attributes:
        gate: images `(n, channels, height, width)` -> the mask before the sigmoid `(n, features)`.
        net: images -> features `(n, features)`.
    """

    def __init__(self, *, gate: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.gate = gate
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Returns gated features `(n, features)`."""
        features: Tensor = self.net(images)
        return features * torch.sigmoid(self.gate(images))


@gin.register
def anml(
    *, outputs: int, channels: int, size: int, net: Callable[..., Classifier] = convnet, gate_filters: int = 112
) -> Classifier:
    """Returns a net whose features are gated by a second, narrower one.

    The gate is `convnet` as the scenario binds it (blocks, padding), with its own number of filters, pooled after each
    block, and a linear layer to as many outputs as the net has features: 112 -> 2,304 on 28x28 images (official code;
    ANML's own has no last pool there).

    Args:
        outputs: outputs of the head.
        channels: channels of an image.
        size: height and width of an image in pixels.
        net: makes what is gated, and the head.
        gate_filters: filters a convolution of the gate.
    """
    gated = net(outputs=outputs, channels=channels, size=size)
    gate = gin.get_configurable("convnet")(
        outputs=gated.head.in_features, channels=channels, size=size, filters=gate_filters, pool_last=True
    )
    return Classifier(Gated(gate=gate, net=gated.encoder), gated.head, name=f"anml{gate_filters}+{gated.name}")
