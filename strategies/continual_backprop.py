"""Continual backprop: after each update, the least useful of the mature hidden units are re-initialised.

Dohare, Sutton, Mahmood, *Continual Backprop: Stochastic Gradient Descent with Persistent Randomness* (2021), as stated
in Dohare et al., *Loss of plasticity in deep continual learning* (Nature 2024), Methods, "Specifics of continual
backpropagation" and equation 1, and in the authors' code (`shibhansh/loss-of-plasticity`, `lop/algos`: `convGnT.py`,
`cbp_conv.py`). A unit's utility is a running mean of its contribution, |activation| * sum |outgoing weights|, with
Adam's bias correction. Units older than a maturity threshold can be replaced. A new unit has newly drawn incoming
weights, outgoing weights of 0 (so that the network's outputs do not change), an identity normalisation, and utility and
age 0. The optimiser's moments of its weights are cleared. Adam's step count is one per tensor here, one per weight in
the authors' code.

Units and their activations are those of `zapbench.strategies.hidden_units`.

Unverified: the replacement rate of the shipped configuration. The authors train for millions of updates; in a few
hundred updates their rate would replace no unit of a narrow network.
"""

from dataclasses import dataclass
from typing import Any

import gin
import torch
from torch import Tensor

from zapbench.seeding import torch_generator
from zapbench.strategies.hidden_units import WatchesUnits, reinitialise


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


@gin.register
class ContinualBackprop(WatchesUnits):
    """Replaces the least useful mature units of each hidden layer after each update, in any Avalanche strategy.

    Decay 0.99: equation 1; replacement rate and maturity: the authors' `lop/imagenet/cfg/cbp.json`. The rate of the
    shipped configuration is unverified.

    Attributes:
        replacement_rate: share of a layer's mature units to replace per update, in (0, 1].
        maturity: updates during which a new unit is not replaced, at least 0.
        decay: of the running mean of contributions, in [0, 1).
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    method = "continual backprop"

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
        """Starts to watch the hidden units, whose utilities and ages are 0."""
        super().before_training_exp(strategy)
        zeros = [hidden.layer.weight.new_zeros(hidden.units) for hidden in self.hidden]
        self._statistics = [UnitStatistics(zero, zero.clone()) for zero in zeros]

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Updates utilities and ages, and replaces units."""
        device = strategy.model.head.weight.device
        generator = torch_generator("continual backprop", self.seed, strategy.clock.train_iterations, device=device)
        for hidden, statistics in zip(self.hidden, self._statistics):
            assert hidden.inputs is not None
            statistics.update(contribution(hidden.inputs, hidden.following.weight, hidden.units), decay=self.decay)
            chosen = statistics.take_least_useful(decay=self.decay, maturity=self.maturity, rate=self.replacement_rate)
            if len(chosen):
                reinitialise(hidden, chosen, strategy.optimizer, generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Returns utilities, ages and replacements due of each layer (see `base.StatefulPlugin`)."""
        return {str(index): vars(statistics) for index, statistics in enumerate(self._statistics)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint."""
        self._statistics = []
        for index, hidden in enumerate(self.hidden):
            kept, device = UnitStatistics(**state[str(index)]), hidden.layer.weight.device
            kept.utility, kept.age = kept.utility.to(device), kept.age.to(device)
            self._statistics.append(kept)
