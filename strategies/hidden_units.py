"""Hidden units: which there are, how active they are, and their re-initialisation; for methods that reset units.

A unit is a filter of a convolution or a node of a hidden linear layer. Its activation is the input of the next layer:
after normalisation, ReLU and pooling, and flattened, where a filter has one feature per pixel.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.strategies.zapping import clear_moments, clear_moments_at, zap

Layer = nn.Linear | nn.Conv2d


@torch.no_grad()
def mean_activity(inputs: Tensor, units: int) -> Tensor:
    """Returns each unit's mean |activation| `(units,)` over images and pixels.

    Args:
        inputs: inputs of the next layer: maps `(images, units, height, width)` or features
            `(images, units * features per unit)`.
        units: number of units.
    """
    return _per_unit(inputs.abs(), units).mean(dim=1)


@torch.no_grad()
def firing_share(inputs: Tensor, units: int) -> Tensor:
    """Returns the share of each unit's activations that are above 0, `(units,)`; inputs as in `mean_activity`."""
    return _per_unit((inputs > 0).float(), units).mean(dim=1)


def _per_unit(inputs: Tensor, units: int) -> Tensor:
    """Returns the activations of each unit as a row, `(units, images * pixels)`."""
    return inputs.view(len(inputs), units, -1).transpose(0, 1).reshape(units, -1)


@dataclass
class HiddenLayer:
    """A hidden layer, the normalisation layers after it and the next layer with weights.

    Attributes:
        layer: the linear or convolutional layer whose units are replaced.
        norms: normalisation layers between `layer` and `following`.
        following: the layer that `layer`'s activations are the input of.
        inputs: the last inputs of `following`, set by `record_inputs`.
    """

    layer: Layer
    norms: list[nn.Module]
    following: Layer
    inputs: Tensor | None = field(default=None, repr=False)

    @property
    def units(self) -> int:
        """Number of units of the layer."""
        return len(self.layer.weight)

    def record_inputs(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Records the inputs of the next layer; registered as its forward pre-hook."""
        self.inputs = inputs[0].detach()


@torch.no_grad()
def reinitialise(
    hidden: HiddenLayer, units: Tensor, optimizer: torch.optim.Optimizer, *, generator: torch.Generator
) -> None:
    """Re-initialises units: weights as by `zap`, identity normalisation, outgoing weights of 0, cleared moments.

    Args:
        hidden: the layer.
        units: indices of its units.
        optimizer: whose moments of these weights are cleared.
        generator: of the draws; on the layer's device.
    """
    zap(hidden.layer, units, generator=generator)
    clear_moments(optimizer, hidden.layer, units)
    for norm in hidden.norms:
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            if (own := getattr(norm, name, None)) is not None:
                own[units] = value
        clear_moments(optimizer, norm, units)
    weight = hidden.following.weight
    owned = torch.zeros_like(weight[0], dtype=torch.bool).view(hidden.units, -1)
    owned[units] = True
    outgoing = (slice(None), owned.view_as(weight[0]))
    weight[outgoing] = 0.0
    clear_moments_at(optimizer, weight, outgoing)


def hidden_layers(model: Classifier, method: str) -> list[HiddenLayer]:
    """Returns the hidden layers of a sequential network.

    Args:
        model: the network.
        method: name of the method that uses them; errors begin with it.

    Raises:
        ValueError: the network is not sequential, so a unit's outgoing weights are not known.
    """
    chain = [*_leaves(model.encoder, method), model.head]
    layers = [(index, layer) for index, layer in enumerate(chain) if isinstance(layer, nn.Linear | nn.Conv2d)]
    found = []
    for (start, layer), (end, following) in pairwise(layers):
        between = [module for module in chain[start + 1 : end] if getattr(module, "weight", None) is not None]
        hidden = HiddenLayer(layer, between, following)
        shared = any(len(norm.get_parameter("weight")) != hidden.units for norm in between)
        if shared or hidden.following.weight[0].numel() % hidden.units or getattr(hidden.following, "groups", 1) != 1:
            raise ValueError(
                f"{method}: a weight between {hidden.layer} and {hidden.following} belongs to several units"
            )
        found.append(hidden)
    return found


def _leaves(module: nn.Module, method: str) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [leaf for child in module for leaf in _leaves(child, method)]
    if any(True for _ in module.children()):
        raise ValueError(
            f"{method}: the network contains a {type(module).__name__}; allowed: nn.Sequential of layers, "
            "where a unit's outgoing weights are those of the next layer"
        )
    return [module]


class WatchesUnits(SupervisedPlugin):
    """Base of plug-ins that need the activations of hidden units: watches them from start to end of a training.

    Attributes:
        method: name of the method; errors begin with it.
        hidden: the hidden layers, whose `inputs` are those of the last forward pass; set when training starts.
    """

    method: str
    hidden: list[HiddenLayer]

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Finds the hidden layers and registers hooks that record their activations."""
        self.hidden = hidden_layers(strategy.model, self.method)
        self._hooks = [hidden.following.register_forward_pre_hook(hidden.record_inputs) for hidden in self.hidden]

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Removes the hooks."""
        for hook in self._hooks:
            hook.remove()
