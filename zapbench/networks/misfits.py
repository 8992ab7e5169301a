"""What to bind where a file of weights does not fit a network: read from names and shapes."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zapbench.networks.classifier import Classifier

GENERAL = "bind the model's kind and sizes with -p"
Weights = Mapping[str, Tensor]


def advice(model: Classifier, found: Weights) -> str:
    """Returns the binding that makes a network fit a file of weights, as far as the file shows it.

    Args:
        model: the network, as it is bound.
        found: the file's weights, under our names.
    """
    own = model.state_dict()
    if model.name.startswith("timm/"):
        return _for_timm(model, found, own)
    if found.keys().isdisjoint(own):
        return (
            "if timm made the model, bind -p 'MODEL = @timm' -p 'timm.name = \"NAME\"' with the name that "
            "timm.create_model was given"
        )
    if model.name.startswith("convnet"):
        return _for_convnet(found, own)
    return GENERAL


def _for_timm(model: Classifier, found: Weights, own: Weights) -> str:
    for name, value in found.items():
        if name not in own or value.shape == own[name].shape:
            continue
        there, here = tuple(value.shape), tuple(own[name].shape)
        if len(there) == 4 and there[:1] + there[2:] == here[:1] + here[2:] and here[1] < 4:
            return f"-p 'timm.in_chans = {there[1]}' makes it for images of {there[1]} channels"
        if "pos_embed" in name or "relative_position" in name:
            size = _image_size(_backbone(model), there)
            return f"-p 'timm.img_size = {size or 'N'}' makes it for images of {f'{size}x{size}' if size else 'NxN'}"
        break
    return "timm.name and timm.options must be what timm.create_model was given"


def _backbone(model: Classifier) -> Any:
    """Returns the backbone, as timm made it."""
    return getattr(model.encoder, "net", model.encoder)


def _image_size(backbone: Any, shape: tuple[int, ...]) -> int:
    """Returns the image size that a position embedding `(1, tokens, width)` is for; 0 where it cannot be known."""
    patches = getattr(getattr(backbone, "patch_embed", None), "patch_size", None)
    if not isinstance(patches, tuple) or len(shape) != 3:
        return 0
    tokens = shape[1] - int(getattr(backbone, "num_prefix_tokens", 0))
    side = math.isqrt(max(tokens, 0))
    return side * int(patches[0]) if side * side == tokens else 0


def _for_convnet(found: Weights, own: Weights) -> str:
    there, here = _facts(found), _facts(own)
    if there and there["channels"] != here["channels"]:
        return f"its images have {there['channels']} channels, and the scenario's have {here['channels']}"
    wrong = [name for name in ("filters", "blocks") if there and there[name] != here[name]]
    return "bind " + " ".join(f"-p 'convnet.{name} = {there[name]}'" for name in wrong) if wrong else GENERAL


def _facts(weights: Weights) -> dict[str, int]:
    """Returns what the kernels of a convnet show; nothing where there are none."""
    kernels = [value for value in weights.values() if value.ndim == 4]
    if not kernels:
        return {}
    return {"filters": kernels[0].shape[0], "blocks": len(kernels), "channels": kernels[0].shape[1]}
