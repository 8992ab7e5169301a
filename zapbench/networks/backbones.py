"""Backbones of timm under a linear head: the paper's VGG-16, and any other by name.

Batch norm: in pre-training (train mode) it normalises by the batch at hand, in the inner loop of an episode by a
single image, and fills its running statistics with both (the official code does). In transfer (eval mode) it
normalises by the running statistics and leaves them as they are, unfrozen too.
"""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import gin
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zapbench.networks.classifier import (
    Classifier,
    HeadInit,
    LibraryNames,
    check_dropout,
    dropout_layers,
    new_head,
    with_dropout,
)
from zapbench.text import nearest, one_line

SIZES = (28, 32, 33, 48, 64, 65, 84, 96, 112, 128, 160, 192, 224, 256, 288, 320, 384)
"""Image sizes that are tried to tell a person which ones a network takes."""
NAMED = 3
SCALED = "-p 'timm.img_size = {}' scales them"
NO_HIDDEN_LAYERS = 2**-12
OF_VGG = LibraryNames({"features.": "0."}, lambda: ("pre_logits.", "head.", "classifier."))
"""VGG-16 as timm and torchvision save it."""


@gin.register
def vgg16_bn(
    *,
    outputs: int,
    channels: int,
    size: int,
    pretrained: bool = False,
    width: float = 1.0,
    head_init: HeadInit = "kaiming",
    dropout: float = 0.0,
) -> Classifier:
    """Returns the paper's VGG-16: timm's convolutions with batch norm, a 7x7 average pool, 25,088 features, no dropout.

    Args:
        outputs: outputs of the head.
        channels: channels of an image.
        size: height and width of an image in pixels.
        pretrained: whether timm fetches ImageNet weights.
        width: share of the paper's filters in every layer, at most 1.
        head_init: see `new_head`.
        dropout: see `zapbench.networks.classifier.convnet`.

    Raises:
        ValueError: the images do not fit, or the width or the dropout does not.
    """
    check_dropout("vgg16_bn", dropout)
    if not 0 < width <= 1 or (pretrained and width < 1):
        raise ValueError(f"vgg16_bn: width is {width}; allowed: above 0 to 1, and 1 where weights are fetched")
    name = with_dropout("vgg16_bn" if width == 1 else f"vgg16_bn x {width:g}", dropout)
    # timm's two hidden layers (119 million weights) are not used here; a small ratio keeps them from being drawn.
    without = {} if pretrained else {"mlp_ratio": NO_HIDDEN_LAYERS}
    whole = (
        _create("vgg16_bn", pretrained, {"in_chans": channels, **without})
        if width == 1
        else _narrow_vgg16(channels, width)
    )
    encoder = nn.Sequential(whole.features, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *dropout_layers(dropout))
    features = feature_width(encoder, name, channels, size)
    return Classifier(encoder, new_head(features, outputs, init=head_init), name=name, library=OF_VGG)


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
    img_size: int = 0,
    in_chans: int = 0,
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
        img_size: height and width that the backbone is made for, in pixels; images are scaled to it (bilinear). 0 for
            the images' own.
        in_chans: channels that the backbone is made for; grey images are repeated in each. 0 for the images' own.
        options: further arguments of `timm.create_model`: `{"patch_size": 4}` fits a ViT to small images.
        head_init: see `new_head`.

    Raises:
        ValueError: timm knows no such backbone, its weights cannot be fetched, or the images do not fit.
    """
    for parameter, value in (("img_size", img_size), ("in_chans", in_chans)):
        if value < 0:
            raise ValueError(f"timm.{parameter} is {value}; allowed: 0 and more")
    if in_chans and in_chans != channels and channels != 1:
        raise ValueError(
            f"timm.in_chans is {in_chans}, and images have {channels} channels; allowed: {channels}, or another number "
            "where images are grey"
        )
    made = {"in_chans": in_chans or channels} | _sized(name, img_size) | dict(options or {})
    encoder = _create(name, pretrained, made)
    library = LibraryNames(ignored=functools.partial(_classifier_of, name, made))
    if (img_size and img_size != size) or made["in_chans"] != channels:
        encoder = Fitted(encoder, img_size, made["in_chans"])
        library = LibraryNames({"": "net."}, library.ignored)
    width = feature_width(encoder, name, channels, size, fix=SCALED)
    return Classifier(encoder, new_head(width, outputs, init=head_init), name=f"timm/{name}", library=library)


class Fitted(nn.Module):
    """A backbone that is made for other images than it is given.

    Attributes:
        net: the backbone.
        size: height and width that images are scaled to, in pixels; 0 where they stay as they are.
        channels: channels in which grey images are repeated.
    """

    def __init__(self, net: nn.Module, size: int, channels: int) -> None:
        super().__init__()
        self.net = net
        self.size = size
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """Returns features `(n, features)`."""
        if self.size and images.shape[-1] != self.size:
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        features: Tensor = self.net(images)
        return features


def feature_width(encoder: nn.Module, name: str, channels: int, size: int, *, fix: str = "") -> int:
    """Returns how many features an encoder gives, tried on one image.

    Args:
        encoder: to be tried.
        name: of the encoder.
        channels: channels of an image.
        size: height and width of an image in pixels.
        fix: what to do where images of another size, `{}`, would fit, in words.

    Raises:
        ValueError: the images do not fit; says which sizes do.
    """
    width, reason = _try(encoder.eval(), channels, size)
    encoder.train()
    if width:
        return width
    fitting = [*islice((side for side in SIZES if _try(encoder.eval(), channels, side)[0]), NAMED)]
    advice = f"; {fix.format(fitting[0])}" if fix and fitting else ""
    raise ValueError(f"{name} does not take images of {size}x{size} ({reason}); it takes {_listed(fitting)}{advice}")


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
        larger = (side for side in SIZES if side > size)
        fitting = [*islice((side for side in larger if not _try_made(model, channels, side)), NAMED)]
    advice = f"; {SCALED.format(fitting[0])}" if network.name.startswith("timm/") and fitting else ""
    raise ValueError(
        f"{network.name} cannot be trained on single images of {size}x{size}, as episodes do ({reason}); "
        f"it takes {_listed(fitting)}{advice}"
    )


def _create(name: str, pretrained: bool, options: Mapping[str, Any], *, classes: int = 0) -> Any:
    import timm  # takes seconds, and most runs do without it

    if not timm.is_model(name):
        raise ValueError(f"timm has no backbone {name!r}{nearest(name, timm.list_models())}")
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=classes, **options)
    except (RuntimeError, TypeError, AssertionError, OSError) as error:
        fetched = isinstance(error, OSError)
        advice = "; download a file elsewhere, and give it to `zapbench transfer WEIGHTS`" if fetched else ""
        raise ValueError(f"timm: {name}: {one_line(str(error)) if fetched else _line(error)}{advice}") from None


def _sized(name: str, img_size: int) -> dict[str, int]:
    """Returns the argument that makes a backbone for a size, where it is made for one."""
    import timm

    made = timm.get_pretrained_cfg(name) if img_size and timm.is_model(name) else None
    return {"img_size": img_size} if made is not None and made.fixed_input_size else {}


def _classifier_of(name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns how the names of a backbone's own classifier start: `get_classifier` of timm returns it."""
    with torch.device("meta"):  # takes no memory, and draws no number
        whole = _create(name, False, options, classes=1)
    own = whole.get_classifier()
    parts = own if isinstance(own, tuple) else (own,)
    return tuple(f"{place}." for place, module in whole.named_modules() if any(module is part for part in parts))


def _try(encoder: nn.Module, channels: int, size: int) -> tuple[int, str]:
    """Returns how many features one image gives, or 0 and why not."""
    weight = next(encoder.parameters())
    image = torch.zeros(1, channels, size, size, device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad():
            features: Tensor = encoder(image)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        return 0, _line(error)
    return (features.shape[1], "") if features.ndim == 2 else (0, f"its features have {features.ndim} dimensions")


def _try_made(model: Callable[..., Classifier], channels: int, size: int) -> str:
    try:
        return _try(model(outputs=2, channels=channels, size=size).train(), channels, size)[1]
    except ValueError as error:
        return str(error)


def _listed(sizes: Sequence[int]) -> str:
    """Returns the first few sizes in words."""
    found = [f"{size}x{size}" for size in sizes]
    return ", ".join(found) + (", ..." if len(found) == NAMED else "") if found else "none of the sizes tried"


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
