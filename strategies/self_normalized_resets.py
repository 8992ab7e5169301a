"""Self-normalized resets (SNR): a unit is re-initialised when it has been silent for longer than is usual for it.

Farias and Jozefiak, *Self-Normalized Resets for Plasticity in Continual Learning* (ICLR 2025), algorithm 1, with the
adaptive thresholds of the authors' code (`ajozefiak/SelfNormalizedResets`, `src/algorithms`). A unit fires in an update
if one of its activations is above 0 for an image of the batch. Its age is the time since it fired; it is reset when its
age reaches its threshold. Every so often each threshold becomes the percentile of the silences that the unit had, or,
if that is not below the threshold, the threshold is multiplied. A reset unit has newly drawn incoming weights, outgoing
weights and bias 0, cleared moments and age 0.

Times are counted in updates (in the code: images, in steps of a batch). A unit's normalisation becomes the identity
(their networks have none).

`firing` extends the definition: the share of a unit's activations that must be above 0. At 0, the authors' rule, a
filter with a map per image fires in every update unless it is dead. Unverified: every number but the percentile of 0.99
and the factor of 2, which are defaults of that code.
"""

from dataclasses import dataclass
from typing import Any

import gin
import torch
from torch import Tensor

from zapbench.seeding import torch_generator
from zapbench.strategies.hidden_units import WatchesUnits, firing_share, reinitialise


@dataclass
class Silences:
    """Silences of the units of one layer, in updates.

    Attributes:
        age: `(units,)` updates since each unit fired.
        threshold: `(units,)` ages at which they are reset.
        counts: `(units, longest)` how many silences of 1, 2, ... updates ended since thresholds were adapted; longer
            ones count as the longest.
    """

    age: Tensor
    threshold: Tensor
    counts: Tensor

    def observe(self, fired: Tensor) -> None:
        """Adds an update: which units fired, `(units,)` bool."""
        self._end(fired)
        self.age = torch.where(fired, 0, self.age + 1)

    def take_due(self) -> Tensor:
        """Returns the indices of the units to reset, whose silences end."""
        due = self.age >= self.threshold
        self._end(due)
        self.age[due] = 0
        return torch.nonzero(due).flatten()

    def adapt(self, *, percentile: float, factor: int) -> None:
        """Sets thresholds from the silences, and forgets these.

        A unit without any silence gets a threshold of 1, as in the authors' code.
        """
        longest = self.counts.shape[1]
        total = self.counts.sum(dim=1, keepdim=True).clamp_min(1)
        reached = self.counts.cumsum(dim=1) / total >= percentile
        usual = reached.int().argmax(dim=1) + 1  # the first; 1 where there is none
        wider = (self.threshold * factor).clamp_max(longest)
        self.threshold = torch.where(usual < self.threshold, usual, wider)
        self.counts.zero_()

    def _end(self, units: Tensor) -> None:
        ended = torch.nonzero(units & (self.age > 0)).flatten()
        self.counts[ended, self.age[ended].clamp_max(self.counts.shape[1]) - 1] += 1


@gin.register
class SelfNormalizedResets(WatchesUnits):
    """Resets units that are silent for unusually long, after each update. Its numbers are unverified.

    Attributes:
        threshold: updates of silence after which units are reset before thresholds are first adapted, at least 1.
        adapt_every: updates between two adaptations, at least 1.
        percentile: of a unit's silences, in (0, 1).
        factor: by which a threshold grows, at least 1.
        longest: largest threshold, in updates.
        firing: share of its activations that must be above 0 for a unit to fire, in [0, 1); 0 is the authors' rule.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    method = "self-normalized resets"

    def __init__(
        self,
        *,
        threshold: int = 10,
        adapt_every: int = 100,
        percentile: float = 0.99,
        factor: int = 2,
        longest: int = 1000,
        firing: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, count in (("threshold", threshold), ("adapt_every", adapt_every), ("factor", factor)):
            if count < 1:
                raise ValueError(f"{self.method}: {name} is {count}; allowed: a whole number of at least 1")
        if not threshold <= longest <= 100_000:
            raise ValueError(f"{self.method}: longest is {longest}; allowed: the threshold, {threshold}, to 100,000")
        if not 0 < percentile < 1:
            raise ValueError(f"{self.method}: percentile is {percentile}; allowed: above 0 and below 1")
        if not 0 <= firing < 1:
            raise ValueError(f"{self.method}: firing is {firing}; allowed: 0 to below 1, as above nothing ever fires")
        self.threshold = threshold
        self.adapt_every = adapt_every
        self.percentile = percentile
        self.factor = factor
        self.longest = longest
        self.firing = firing
        self.seed = seed

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Starts to watch the hidden units."""
        super().before_training_exp(strategy)
        self._silences = []
        for hidden in self.hidden:
            zero = torch.zeros(hidden.units, dtype=torch.int64, device=hidden.layer.weight.device)
            counts = zero.new_zeros(hidden.units, self.longest)
            self._silences.append(Silences(zero, zero + self.threshold, counts))

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Observes which units fired, and resets and adapts what is due."""
        before = strategy.clock.train_iterations
        device = strategy.model.head.weight.device
        generator = torch_generator("self-normalized resets", self.seed, before, device=device)
        for hidden, silences in zip(self.hidden, self._silences):
            assert hidden.inputs is not None
            silences.observe(firing_share(hidden.inputs, hidden.units) > self.firing)
            due = silences.take_due()
            if len(due):
                reinitialise(hidden, due, strategy.optimizer, generator=generator)
            if (before + 1) % self.adapt_every == 0:
                silences.adapt(percentile=self.percentile, factor=self.factor)

    def state_dict(self) -> dict[str, Any]:
        """Returns ages, thresholds and counts of each layer (see `base.StatefulPlugin`)."""
        return {str(index): vars(silences) for index, silences in enumerate(self._silences)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint."""
        self._silences = []
        for index, hidden in enumerate(self.hidden):
            on_device = {name: value.to(hidden.layer.weight.device) for name, value in state[str(index)].items()}
            self._silences.append(Silences(**on_device))
