"""Networks: an encoder and a linear `head`, so that zapping and transfer need to know nothing else.

Every model has `encoder` (images -> features, two-dimensional) and `head` (an `nn.Linear`), and registers under the
name that a scenario's .gin file binds to `MODEL`. A model is built by `model(outputs=..., channels=..., size=...)`.
Others are in `oml`, `anml` and `backbones` (VGG-16 and timm's).
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import gin
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

HeadInit = Literal["kaiming", "pytorch"]


@dataclass(frozen=True)
class LibraryNames:
    """How a state dict of the library that an encoder comes from names its parts.

    Attributes:
        renamed: how names start there -> how they start in the encoder.
        ignored: returns how the names of parts start that the encoder has not: the library's own classifier.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    ignored: Callable[[], Sequence[str]] = field(default_factory=lambda: tuple)


class Classifier(nn.Module):
    """An encoder under a linear head.

    Attributes:
        encoder: images `(n, channels, height, width)` -> features `(n, features)`.
        head: features -> logits `(n, outputs)`; the layer that is zapped and, in transfer, replaced.
        name: what tables call the encoder.
        library: names in files of weights that the encoder's library wrote.
    """

    def __init__(self, encoder: nn.Module, head: nn.Linear, *, name: str, library: LibraryNames | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.name = name
        self.library = library or LibraryNames()

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits `(n, outputs)`."""
        logits: Tensor = self.head(self.encoder(images))
        return logits


def new_head(
    features: int, outputs: int, *, init: HeadInit = "kaiming", generator: torch.Generator | None = None
) -> nn.Linear:
    """Returns a new last layer.

    Args:
        features: inputs of the layer.
        outputs: classes it can tell apart.
        init: `kaiming` draws weights from N(0, 2 / features) with bias 0 (the paper's "initial weight
            distribution", and the transfer head of the official code); `pytorch` is `nn.Linear`'s default
            (the first head of the official code).
        generator: where the draws come from; torch's global one if None.
    """
    head = nn.Linear(features, outputs)
    if init == "kaiming":
        with torch.no_grad():
            head.weight.normal_(0.0, math.sqrt(2.0 / features), generator=generator)
            head.bias.zero_()
    return head


@gin.register
def convnet(
    *,
    outputs: int,
    channels: int,
    size: int,
    filters: int = 256,
    blocks: int = 3,
    padding: int = 0,
    pool_last: bool = False,
    head_init: HeadInit = "kaiming",
    dropout: float = 0.0,
) -> Classifier:
    """Returns the paper's network: blocks of 3x3 convolution, instance norm (affine), ReLU and 2x2 max-pooling.

    The Omniglot net has 3 blocks without padding and no pooling after the last (2,304 features from 28x28 at 256
    filters); the 4-block net for 84x84 images pads by 1 and pools after each (6,400 features). Convolution weights
    are Kaiming normal, their biases PyTorch's default (official code, `models`).

    Args:
        outputs: outputs of the head.
        channels: channels of an image.
        size: height and width of an image in pixels.
        filters: filters a convolution.
        blocks: number of blocks.
        padding: padding of each convolution in pixels.
        pool_last: whether the last block ends in max-pooling, too.
        head_init: see `new_head`.
        dropout: share of the features that is dropped in training, in [0, 1). The paper has none; its discussion
            compares zapping with it.

    Raises:
        ValueError: a value is not allowed, or the images are too small for so many blocks.
    """
    check_dropout("convnet", dropout)
    for name, value, least, most in (
        ("filters", filters, 1, 65_536),
        ("blocks", blocks, 1, 64),
        ("padding", padding, 0, 64),
    ):
        if not least <= value <= most:
            raise ValueError(f"convnet: {name} is {value:,}; allowed: {least:,} to {most:,}")
    if not _side(size, blocks, padding, pool_last):
        least = next(side for side in itertools.count(size + 1) if _side(side, blocks, padding, pool_last))
        raise ValueError(
            f"convnet: images of {size}x{size} are too small for {blocks} blocks of padding {padding}; "
            f"it takes {least}x{least} and larger"
        )
    layers: list[nn.Module] = []
    for block in range(blocks):
        convolution = nn.Conv2d(channels if block == 0 else filters, filters, 3, padding=padding)
        nn.init.kaiming_normal_(convolution.weight)
        # A group a channel is instance norm; in PyTorch it is the faster way to it (1.3x a step on a CPU).
        layers += [convolution, nn.GroupNorm(filters, filters), nn.ReLU(inplace=True)]
        if block < blocks - 1 or pool_last:
            layers.append(nn.MaxPool2d(2))
    head = new_head(filters * _side(size, blocks, padding, pool_last) ** 2, outputs, init=head_init)
    encoder = nn.Sequential(*layers, nn.Flatten(), *dropout_layers(dropout))
    return Classifier(encoder, head, name=with_dropout(f"convnet{blocks}x{filters}", dropout))


def check_dropout(network: str, dropout: float) -> None:
    """Checks a share of features to drop.

    Raises:
        ValueError: it is not in [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"{network}: dropout is {dropout}; allowed: 0 to below 1")


def dropout_layers(dropout: float) -> list[nn.Module]:
    """Returns what drops features below the head in training: no layer at 0, so that nothing changes."""
    return [nn.Dropout(dropout)] if dropout else []


def with_dropout(name: str, dropout: float) -> str:
    """Returns an encoder's name, which states its dropout where there is any.

    >>> with_dropout("convnet3x32", 0.0), with_dropout("convnet3x32", 0.5)
    ('convnet3x32', 'convnet3x32, dropout 0.5')
    """
    return f"{name}, dropout {dropout:g}" if dropout else name


def _side(size: int, blocks: int, padding: int, pool_last: bool) -> int:
    """Returns the side of `convnet`'s last map in pixels; 0 where a norm would see a single pixel, or none."""
    for block in range(blocks):
        size += 2 * padding - 2
        if size < 2:
            return 0
        if block < blocks - 1 or pool_last:
            size //= 2
    return size


def last_layers(model: nn.Module, count: int) -> list[nn.Linear | nn.Conv2d]:
    """Returns the last `count` linear and convolutional layers in the order they were registered, the head last.

    Raises:
        ValueError: there are fewer.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not 1 <= count <= len(layers):
        raise ValueError(f"the last {count} layers are asked for; allowed: 1 to {len(layers)}")
    return layers[-count:]


def count_parameters(model: nn.Module) -> int:
    """Returns the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def training_flops(model: nn.Module, image: Tensor) -> int:
    """Returns nominal FLOPs of training on one image: a backward pass counts as two forward passes.

    A multiply-add is two. `FlopCounterMode` counts matrix products and convolutions, and nothing else.

    Args:
        model: a classifier.
        image: one image on the model's device, of shape (1, channels, height, width).
    """
    training = model.training
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model.eval()(image)
    model.train(training)
    return 3 * int(forward.get_total_flops())
