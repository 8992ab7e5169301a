"""ReDo: dormant units are re-initialised at an interval.

Sokar, Agarwal, Castro, Evci, *The Dormant Neuron Phenomenon in Deep Reinforcement Learning* (ICML 2023), definition 3.1
and algorithm 1. A unit's score is its mean |activation| over that of the layer's units; a unit whose score is at most
tau is dormant. In the authors' code (`google/dopamine`, `labs/redo/weight_recyclers.py`) every `reset_period` updates
the incoming weights of dormant units are re-drawn, their biases and outgoing weights become 0, and Adam's moments of
these weights are cleared; a filter is a unit, and the head is never reset.

Differences: scores are those of one training batch (the authors' of a batch from the replay buffer), incoming weights
are Kaiming normal (theirs are Xavier uniform), and a unit's normalisation becomes the identity (their networks have
none).

Unverified: interval and threshold for a short supervised training. Where each filter's map is normalised, as in the
paper's network here, few scores are far below 1.
"""

from typing import Any

import gin
import torch
from torch import Tensor

from zapbench.seeding import torch_generator
from zapbench.strategies.cadence import Cadence, Unit
from zapbench.strategies.hidden_units import WatchesUnits, mean_activity, reinitialise


def dormant(activity: Tensor, *, threshold: float) -> Tensor:
    """Returns the indices of dormant units (definition 3.1).

    Args:
        activity: mean |activation| of each unit of a layer, `(units,)`.
        threshold: tau, in [0, 1). A score of at least 1 always exists, so that not all units of an active layer can be
            dormant.
    """
    return torch.nonzero(activity <= threshold * activity.mean()).flatten()


@gin.register
class ReDo(WatchesUnits):
    """Re-initialises the dormant units of each hidden layer at an interval. Interval and threshold are unverified.

    Attributes:
        cadence: interval, from `every` and `unit`.
        threshold: see `dormant`.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    method = "ReDo"

    def __init__(self, *, every: int, unit: Unit = "updates", threshold: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= threshold < 1:
            raise ValueError(
                f"ReDo: threshold is {threshold}; allowed: 0 to below 1, as from 1 on a layer may lose every unit"
            )
        self.cadence = Cadence("ReDo", every, unit)
        self.threshold = threshold
        self.seed = seed

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Resets when it is due, by the activations of the update before."""
        if not self.cadence.is_due(strategy):
            return
        device = strategy.model.head.weight.device
        generator = torch_generator("redo", self.seed, strategy.clock.train_iterations, device=device)
        for hidden, activity in reversed(list(zip(self.hidden, self._activities))):  # zeros outlast the layer above
            units = dormant(activity, threshold=self.threshold)
            if len(units):
                reinitialise(hidden, units, strategy.optimizer, generator=generator)

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the activities of this update."""
        inputs = [hidden.inputs for hidden in self.hidden]
        self._activities = [
            mean_activity(found, hidden.units) for found, hidden in zip(inputs, self.hidden) if found is not None
        ]

    def state_dict(self) -> dict[str, Any]:
        """Returns the activities of the last update (see `base.StatefulPlugin`)."""
        return {str(layer): activity for layer, activity in enumerate(self._activities)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint."""
        self._activities = [state[str(layer)] for layer in range(len(state))]
