"""The layers of a network that an inner loop does not move, computed once for all images of an episode.

OML's inner loop moves the layers after the convolutions alone. What the convolutions make of an image is the same at
each inner step and in the outer step, so it is computed once, for the outer batch, which begins with the inner images.
The gradient of the outer loss reaches it as before.
"""

from collections.abc import Collection

from torch import nn

from zapbench.networks.classifier import Classifier

MIXES_IMAGES = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
"""Layers whose result for an image depends on the other images of its batch, or on random draws."""


def split(model: nn.Module, moved: Collection[str]) -> tuple[nn.Module, nn.Module]:
    """Returns the first layers, which the inner loop leaves alone, and the rest: `rest(first(images))` are the logits.

    The parameters of the rest keep their names. Where nothing can be computed ahead, the rest is the model.

    Args:
        model: what learns.
        moved: names of the parameters that the inner loop moves.
    """
    nothing = nn.Identity(), model
    if type(model) is not Classifier or type(model.encoder) is not nn.Sequential:
        return nothing
    if any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        return nothing
    count = _layers_left_alone(model.encoder, moved)
    first, rest = model.encoder[:count], model.encoder[count:]
    if not any(True for _ in first.parameters()) or mixes_images(first):
        return nothing
    return first, Classifier(rest, model.head, name=model.name)


def mixes_images(model: nn.Module) -> bool:
    """Returns whether what a model makes of an image depends on the rest of its batch, or on random draws."""
    return any(isinstance(module, MIXES_IMAGES) for module in model.modules())


def _layers_left_alone(encoder: nn.Sequential, moved: Collection[str]) -> int:
    """Returns how many of the first layers hold no parameter that moves."""
    for count, (name, _) in enumerate(encoder.named_children()):
        if any(parameter.startswith(f"encoder.{name}.") for parameter in moved):
            return count
    return len(encoder)
