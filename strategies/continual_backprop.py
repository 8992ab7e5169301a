"""Continual backprop: after each update, the least useful of the mature hidden units are drawn anew.

Dohare, Sutton, Mahmood, *Continual Backprop: Stochastic Gradient Descent with Persistent Randomness* (2021), as stated
in Dohare et al., *Loss of plasticity in deep continual learning* (Nature 2024), Methods, "Specifics of continual
backpropagation" and equation 1, and in the authors' code (`shibhansh/loss-of-plasticity`, `lop/algos`: `convGnT.py`,
`cbp_conv.py`). A unit's utility is a running mean of its contribution, |activation| * sum |outgoing weights|, with
Adam's bias correction; units older than a maturity threshold can be replaced. A new unit has weights as at the start,
outgoing weights of 0 (so that what was learned stays), a norm that does nothing, and utility and age 0; the optimiser
forgets its moments (Adam's count of steps is one for all units here; theirs is one a weight).

A unit is a filter of a convolution or a node of a hidden linear layer. What it puts out is what the next layer takes
in: after norm, ReLU and pooling, and flattened, where a filter owns one feature a pixel.

Unverified: the replacement rate of the shipped configuration. The authors train for millions of updates; in a few
hundred their rate would replace nothing in a narrow network.
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
    """Returns `(units,)`: mean |activation| * sum |outgoing weights| of each unit (equation 1).

    Args:
        inputs: what units give the next layer: maps `(images, units, height, width)`, whose mean is over images and
            pixels, or features `(images, units * features a unit)`, whose contributions are summed.
        weight: of the next layer.
        units: how many.
    """
    outgoing = weight.abs().view(len(weight), units, -1).sum(dim=0)
    if inputs.ndim == 4:
        return inputs.abs().mean(dim=(0, 2, 3)) * outgoing.sum(dim=1)
    return (inputs.abs().mean(dim=0).view(units, -1) * outgoing).sum(dim=1)


@dataclass
class Tally:
    """What is known of a layer's units.

    Attributes:
        utility: `(units,)` running mean of contributions, not yet bias-corrected.
        age: `(units,)` updates since a unit was new.
        pending: replacements that have come due, a fraction.
    """

    utility: Tensor
    age: Tensor
    pending: float = 0.0

    def add(self, contributions: Tensor, *, decay: float) -> None:
        """Takes in the contributions of one update."""
        self.age += 1
        self.utility.mul_(decay).add_(contributions, alpha=1 - decay)

    def replace(self, *, decay: float, maturity: int, rate: float) -> Tensor:
        """Returns the units to be replaced now, the least useful first, and makes them new here.

        Each update `rate` times the number of mature units comes due.
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
class Hidden:
    """A hidden layer, the norms behind it and the next layer."""

    layer: Layer
    norms: list[nn.Module]
    following: Layer
    inputs: Tensor | None = field(default=None, repr=False)

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.layer.weight)

    def keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Keeps what the next layer takes in: a forward hook."""
        self.inputs = inputs[0].detach()


@torch.no_grad()
def renew(hidden: Hidden, units: Tensor, optimizer: torch.optim.Optimizer, *, generator: torch.Generator) -> None:
    """Draws units anew: their weights as `zap` does, norms that do nothing, no outgoing weights, no moments."""
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


def hidden_layers(model: Classifier) -> list[Hidden]:
    """Returns the hidden layers of a network whose layers follow one another.

    Raises:
        ValueError: they do not, so that outgoing weights are unknown.
    """
    chain = [*_leaves(model.encoder), model.head]
    layers = [(place, layer) for place, layer in enumerate(chain) if isinstance(layer, nn.Linear | nn.Conv2d)]
    found = []
    for (place, layer), (end, following) in pairwise(layers):
        between = [module for module in chain[place + 1 : end] if getattr(module, "weight", None) is not None]
        hidden = Hidden(layer, between, following)
        shared = any(len(norm.get_parameter("weight")) != hidden.units for norm in between)
        if shared or hidden.following.weight[0].numel() % hidden.units or getattr(hidden.following, "groups", 1) != 1:
            raise ValueError(
                f"continual backprop: between {hidden.layer} and {hidden.following} not all weights are of one unit"
            )
        found.append(hidden)
    return found


def _leaves(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [leaf for child in module for leaf in _leaves(child)]
    if any(True for _ in module.children()):
        raise ValueError(
            f"continual backprop: the network has a {type(module).__name__}; allowed: layers that follow one another "
            "(nn.Sequential), of which alone it is known where a unit's outgoing weights are"
        )
    return [module]


@gin.register
class ContinualBackprop(SupervisedPlugin):
    """Replaces the least useful mature units of each hidden layer after each update, in any Avalanche strategy.

    Decay 0.99: equation 1; replacement rate and maturity: the authors' `lop/imagenet/cfg/cbp.json`. The rate of the
    shipped configuration is unverified.

    Attributes:
        replacement_rate: share of a layer's mature units that comes due each update.
        maturity: updates that a new unit is left alone for.
        decay: of the running mean, in [0, 1).
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
        """Finds the hidden layers and listens to what they give."""
        self._hidden = hidden_layers(strategy.model)
        self._hooks = [hidden.following.register_forward_pre_hook(hidden.keep) for hidden in self._hidden]
        zeros = [hidden.layer.weight.new_zeros(hidden.units) for hidden in self._hidden]
        self._tallies = [Tally(new, new.clone()) for new in zeros]

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Updates utilities and ages, and replaces units."""
        device = strategy.model.head.weight.device
        generator = torch_generator("continual backprop", self.seed, strategy.clock.train_iterations, device=device)
        for hidden, tally in zip(self._hidden, self._tallies):
            assert hidden.inputs is not None
            tally.add(contribution(hidden.inputs, hidden.following.weight, hidden.units), decay=self.decay)
            chosen = tally.replace(decay=self.decay, maturity=self.maturity, rate=self.replacement_rate)
            if len(chosen):
                renew(hidden, chosen, strategy.optimizer, generator=generator)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Stops listening."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps."""
        return {str(place): vars(tally) for place, tally in enumerate(self._tallies)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up where a checkpoint left."""
        self._tallies = [Tally(**state[str(place)]) for place in range(len(state))]
