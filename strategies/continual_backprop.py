"""Continual backprop: after each update, the least useful of the mature hidden units are re-initialised.

Dohare, Sutton, Mahmood, *Continual Backprop: Stochastic Gradient Descent with Persistent Randomness* (2021), as stated
in Dohare et al., *Loss of plasticity in deep continual learning* (Nature 2024), Methods, "Specifics of continual
backpropagation" and equation 1, and in the authors' code (`shibhansh/loss-of-plasticity`, `lop/algos`: `convGnT.py`,
`cbp_conv.py`). A unit's utility is a running mean of its contribution, |activation| * sum |outgoing weights|, with
Adam's bias correction. Units older than a maturity threshold can be replaced. A new unit has newly drawn incoming
weights, outgoing weights of 0 (so that the network's outputs do not change), an identity normalisation, and utility and
age 0. The optimiser's moments of its weights are cleared. Adam's step count is one per tensor here, one per weight in
the authors' code.

A unit is a filter of a convolution or a node of a hidden linear layer. Its activation is the input of the next layer:
after normalisation, ReLU and pooling, and flattened, where a filter has one feature per pixel.

Unverified: the replacement rate of the shipped configuration. The authors train for millions of updates; in a few
hundred updates their rate would replace no unit of a narrow network.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.seeding import torch_generator
from zapbench.strategies.zapping import clear_moments, clear_moments_at, zap

Layer = nn.Linear | nn.Conv2d


@torch.no_grad()
def contribution(inputs: Tensor, weight: Tensor, units: int) -> Tensor:
    """Returns the contribution `(units,)` of each unit: mean |activation| * sum |outgoing weights| (equation 1).

    Args:
        inputs: inputs of the next layer: maps `(images, units, height, width)`, averaged over images and pixels, or
            features `(images, units * features per unit)`, whose contributions are summed per unit.
        weight: weight of the next layer.
        units: number of units.
    """
    outgoing = weight.abs().view(len(weight), units, -1).sum(dim=0)
    if inputs.ndim == 4:
        return inputs.abs().mean(dim=(0, 2, 3)) * outgoing.sum(dim=1)
    return (inputs.abs().mean(dim=0).view(units, -1) * outgoing).sum(dim=1)


@dataclass
class UnitStatistics:
    """Utilities and ages of the units of one layer.

    Attributes:
        utility: `(units,)` running mean of contributions, before bias correction.
        age: `(units,)` updates since each unit was initialised.
        pending: replacements due but not yet made, with a fractional part.
    """

    utility: Tensor
    age: Tensor
    pending: float = 0.0

    def update(self, contributions: Tensor, *, decay: float) -> None:
        """Adds the contributions `(units,)` of one update to the running means."""
        self.age += 1
        self.utility.mul_(decay).add_(contributions, alpha=1 - decay)

    def take_least_useful(self, *, decay: float, maturity: int, rate: float) -> Tensor:
        """Returns the indices of the units to replace now, the least useful first, and resets their utility and age.

        Each update adds `rate` times the number of mature units to the replacements due.
        """
        mature = torch.nonzero(self.age > maturity).flatten()
        self.pending += rate * len(mature)
        count = min(int(self.pending), len(mature))
        self.pending -= count
        useful = self.utility[mature] / (1 - decay ** self.age[mature])
        chosen = mature[useful.argsort(stable=True)[:count]]
        self.utility[chosen] = 0.0
        self.age[chosen] = 0.0
        return chosen


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


def hidden_layers(model: Classifier) -> list[HiddenLayer]:
    """Returns the hidden layers of a sequential network.

    Raises:
        ValueError: the network is not sequential, so a unit's outgoing weights are not known.
    """
    chain = [*_leaves(model.encoder), model.head]
    layers = [(index, layer) for index, layer in enumerate(chain) if isinstance(layer, nn.Linear | nn.Conv2d)]
    found = []
    for (start, layer), (end, following) in pairwise(layers):
        between = [module for module in chain[start + 1 : end] if getattr(module, "weight", None) is not None]
        hidden = HiddenLayer(layer, between, following)
        shared = any(len(norm.get_parameter("weight")) != hidden.units for norm in between)
        if shared or hidden.following.weight[0].numel() % hidden.units or getattr(hidden.following, "groups", 1) != 1:
            raise ValueError(
                f"continual backprop: a weight between {hidden.layer} and {hidden.following} belongs to several units"
            )
        found.append(hidden)
    return found


def _leaves(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [leaf for child in module for leaf in _leaves(child)]
    if any(True for _ in module.children()):
        raise ValueError(
            f"continual backprop: the network contains a {type(module).__name__}; allowed: nn.Sequential of layers, "
            "where a unit's outgoing weights are those of the next layer"
        )
    return [module]


@gin.register
class ContinualBackprop(SupervisedPlugin):
    """Replaces the least useful mature units of each hidden layer after each update, in any Avalanche strategy.

    Decay 0.99: equation 1; replacement rate and maturity: the authors' `lop/imagenet/cfg/cbp.json`. The rate of the
    shipped configuration is unverified.

    Attributes:
        replacement_rate: share of a layer's mature units to replace per update, in (0, 1].
        maturity: updates during which a new unit is not replaced, at least 0.
        decay: of the running mean of contributions, in [0, 1).
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self, *, replacement_rate: float = 3e-4, maturity: int = 100, decay: float = 0.99, seed: int = 0
    ) -> None:
        super().__init__()
        if not 0 < replacement_rate <= 1:
            raise ValueError(f"continual backprop: replacement_rate is {replacement_rate}; allowed: above 0, up to 1")
        if maturity < 0:
            raise ValueError(f"continual backprop: maturity is {maturity}; allowed: a whole number of at least 0")
        if not 0 <= decay < 1:
            raise ValueError(f"continual backprop: decay is {decay}; allowed: 0 to below 1")
        self.replacement_rate = replacement_rate
        self.maturity = maturity
        self.decay = decay
        self.seed = seed

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Finds the hidden layers and registers hooks that record their activations."""
        self._hidden = hidden_layers(strategy.model)
        self._hooks = [hidden.following.register_forward_pre_hook(hidden.record_inputs) for hidden in self._hidden]
        zeros = [hidden.layer.weight.new_zeros(hidden.units) for hidden in self._hidden]
        self._statistics = [UnitStatistics(zero, zero.clone()) for zero in zeros]

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Updates utilities and ages, and replaces units."""
        device = strategy.model.head.weight.device
        generator = torch_generator("continual backprop", self.seed, strategy.clock.train_iterations, device=device)
        for hidden, statistics in zip(self._hidden, self._statistics):
            assert hidden.inputs is not None
            statistics.update(contribution(hidden.inputs, hidden.following.weight, hidden.units), decay=self.decay)
            chosen = statistics.take_least_useful(decay=self.decay, maturity=self.maturity, rate=self.replacement_rate)
            if len(chosen):
                reinitialise(hidden, chosen, strategy.optimizer, generator=generator)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Removes the hooks."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """Returns utilities, ages and replacements due of each layer (see `base.StatefulPlugin`)."""
        return {str(index): vars(statistics) for index, statistics in enumerate(self._statistics)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint."""
        self._statistics = [UnitStatistics(**state[str(index)]) for index in range(len(state))]
