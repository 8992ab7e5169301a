"""Backbones of timm under a linear head: the paper's VGG-16, and any other by name.

Batch norm: in pre-training (train mode) it normalises by the batch at hand, in the inner loop of an episode by a
single image, and fills its running statistics with both (the official code does). In transfer (eval mode) it
normalises by the running statistics and leaves them as they are, unfrozen too.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import gin
import torch
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier, HeadInit, new_head
from zapbench.text import nearest

SIZES = (28, 32, 33, 48, 64, 65, 84, 96, 112, 128, 160, 192, 224, 256, 288, 320, 384)
"""Image sizes that are tried to tell a person which ones a network takes."""
NAMED = 3
NO_HIDDEN_LAYERS = 2**-12


@gin.register
def vgg16_bn(
    *,
    outputs: int,
    channels: int,
    size: int,
    pretrained: bool = False,
    width: float = 1.0,
    head_init: HeadInit = "kaiming",
) -> Classifier:
    """Returns the paper's VGG-16: timm's convolutions with batch norm, a 7x7 average pool, 25,088 features, no dropout.

    Args:
        outputs: outputs of the head.
        channels: channels of an image.
        size: height and width of an image in pixels.
        pretrained: whether timm fetches ImageNet weights.
        width: share of the paper's filters in every layer, at most 1.
        head_init: see `new_head`.

    Raises:
        ValueError: the images do not fit, or the width does not.
    """
    if not 0 < width <= 1 or (pretrained and width < 1):
        raise ValueError(f"vgg16_bn: width is {width}; allowed: above 0 to 1, and 1 where weights are fetched")
    name = "vgg16_bn" if width == 1 else f"vgg16_bn x {width:g}"
    # timm's two hidden layers (119 million weights) are not used here; a small ratio keeps them from being drawn.
    without = {} if pretrained else {"mlp_ratio": NO_HIDDEN_LAYERS}
    whole = _create("vgg16_bn", channels, pretrained, without) if width == 1 else _narrow_vgg16(channels, width)
    encoder = nn.Sequential(whole.features, nn.AdaptiveAvgPool2d(7), nn.Flatten())
    features = feature_width(encoder, name, channels, size)
    return Classifier(encoder, new_head(features, outputs, init=head_init), name=name)


def _narrow_vgg16(channels: int, width: float) -> Any:
    from timm.models.vgg import VGG, cfgs

    layers = [part if part == "M" else max(1, round(part * width)) for part in cfgs["vgg16"]]
    return VGG(layers, num_classes=0, in_chans=channels, mlp_ratio=NO_HIDDEN_LAYERS, norm_layer=nn.BatchNorm2d)


@gin.register
def timm(
    name: str,
    *,
    outputs: int,
    channels: int,
    size: int,
    pretrained: bool = False,
    options: Mapping[str, Any] | None = None,
    head_init: HeadInit = "kaiming",
) -> Classifier:
    """Returns a backbone of timm with timm's own pooled features; its VGG-16 has 4,096 and is not the paper's.

    Args:
        name: what timm calls it: `resnet18`, `vit_tiny_patch16_224`.
        outputs: outputs of the head.
        channels: channels of an image.
        size: height and width of an image in pixels.
        pretrained: whether timm fetches weights.
        options: further arguments of `timm.create_model`: `{"img_size": 28, "patch_size": 4}` fits a ViT to small
            images.
        head_init: see `new_head`.

    Raises:
        ValueError: timm knows no such backbone, or the images do not fit.
    """
    encoder = _create(name, channels, pretrained, options or {})
    width = feature_width(encoder, name, channels, size)
    return Classifier(encoder, new_head(width, outputs, init=head_init), name=f"timm/{name}")


def feature_width(encoder: nn.Module, name: str, channels: int, size: int) -> int:
    """Returns how many features an encoder gives, tried on one image.

    Raises:
        ValueError: the images do not fit; says which sizes do.
    """
    width, reason = _try(encoder.eval(), channels, size)
    encoder.train()
    if width:
        return width
    fitting = (side for side in SIZES if _try(encoder.eval(), channels, side)[0])
    raise ValueError(f"{name} does not take images of {size}x{size} ({reason}); it takes {_first(fitting)}")


def check_single_image(model: Callable[..., Classifier], network: Classifier, channels: int, size: int) -> None:
    """Refuses a network that cannot be trained on a single image, as episodes do.

    Batch norm needs more than one value a channel: a map of one pixel is too small for it.

    Args:
        model: made `network`; makes it again to find sizes that are large enough.
        network: the one to check; it stays as it is.
        channels: channels of an image.
        size: height and width of an image in pixels.

    Raises:
        ValueError: a single image cannot be trained on; says which sizes can.
    """
    with torch.random.fork_rng(devices=[]):
        _, reason = _try(copy.deepcopy(network).train(), channels, size)
        if not reason:
            return
        fitting = _first(side for side in SIZES if side > size and not _try_made(model, channels, side))
    raise ValueError(
        f"{network.name} cannot be trained on single images of {size}x{size}, as episodes do ({reason}); "
        f"it takes {fitting}"
    )


def _create(name: str, channels: int, pretrained: bool, options: Mapping[str, Any]) -> Any:
    import timm  # takes seconds, and most runs do without it

    if not timm.is_model(name):
        raise ValueError(f"timm has no backbone {name!r}{nearest(name, timm.list_models())}")
    try:
        return timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=0, **options)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ValueError(f"timm: {name}: {str(error).splitlines()[0]}") from None


def _try(encoder: nn.Module, channels: int, size: int) -> tuple[int, str]:
    """Returns how many features one image gives, or 0 and why not."""
    weight = next(encoder.parameters())
    image = torch.zeros(1, channels, size, size, device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad():
            features: Tensor = encoder(image)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        return 0, str(error).splitlines()[0].rstrip(".")
    return (features.shape[1], "") if features.ndim == 2 else (0, f"its features have {features.ndim} dimensions")


def _try_made(model: Callable[..., Classifier], channels: int, size: int) -> str:
    try:
        return _try(model(outputs=2, channels=channels, size=size).train(), channels, size)[1]
    except ValueError as error:
        return str(error)


def _first(sizes: Iterator[int]) -> str:
    """Returns the first few sizes in words."""
    found = [f"{size}x{size}" for size in islice(sizes, NAMED)]
    return ", ".join(found) + (", ..." if len(found) == NAMED else "") if found else "none of the sizes tried"
