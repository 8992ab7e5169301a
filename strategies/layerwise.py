"""Layer-wise re-initialisation: block after block, from the bottom, all layers above it are re-initialised.

Alabdulmohsin, Maennel, Keysers, *The Impact of Reinitialization on Generalization in Convolutional Neural Networks*
(2021), algorithm 1: for each block k from the bottom to the top, and several rounds per block, the weights of blocks 1
to k are scaled to the norms that they had at initialisation, a normalisation layer is inserted above block k, all
layers above block k are re-initialised, and the network is trained.

Here a block is one linear or convolutional layer with the normalisation layers that follow it. No normalisation layer
is inserted, as blocks of the networks here end in one. The optimiser's moments of re-initialised weights are cleared.

Unverified: rounds per block and updates per round, and the scaling per layer; the text of the algorithm could be read
only in part.
"""

from typing import Any

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.strategies.cadence import Cadence, Unit
from zapbench.strategies.new_networks import NetworkFactory, new_network, replace_where


@torch.no_grad()
def rescale(weight: Tensor, norm: float) -> None:
    """Scales a weight to a Euclidean norm, in place; a weight of zeros stays as it is."""
    now = float(weight.norm())
    if now:
        weight.mul_(norm / now)


def block_of_round(number: int, rounds: int) -> int:
    """Returns which block, from 1, the round `number`, from 1, begins above.

    >>> [block_of_round(number, 2) for number in range(1, 6)]
    [1, 1, 2, 2, 3]
    """
    return (number - 1) // rounds + 1


def blocks_of(model: Classifier) -> list[list[str]]:
    """Returns the names of each block's parameters, from the bottom, the head last; the first is its layer's weight."""
    blocks: list[list[str]] = []
    for name, module in model.named_modules():
        names = [f"{name}.{part}" for part, _ in module.named_parameters(recurse=False)]
        if isinstance(module, nn.Linear | nn.Conv2d):
            blocks.append(names)
        elif names and blocks:
            blocks[-1] += names
    return blocks


@gin.register
class LayerwiseReinitialisation(SupervisedPlugin):
    """Re-initialises the layers above a block at an interval, block after block. Its schedule is unverified.

    After the rounds of the last block below the head it acts no more.

    Attributes:
        model: makes the network, usually `%MODEL`, as `run.model`.
        cadence: updates or epochs of a round, from `every` and `unit`.
        rounds: rounds per block.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self, *, model: NetworkFactory, every: int, unit: Unit = "updates", rounds: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        method = "layer-wise re-initialisation"
        if rounds < 1:
            raise ValueError(f"{method}: rounds is {rounds}; allowed: a whole number of at least 1")
        self.model = model
        self.cadence = Cadence(method, every, unit)
        self.rounds = rounds
        self.seed = seed

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the norms of the layers' weights; a resumed run gets the first ones from its checkpoint."""
        named = dict(strategy.model.named_parameters())
        self._blocks = blocks_of(strategy.model)
        self._norms = [float(named[block[0]].detach().norm()) for block in self._blocks]
        self._round = 0

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Begins a round when it is due."""
        if not self.cadence.is_due(strategy):
            return
        self._round += 1
        block = block_of_round(self._round, self.rounds)
        if block >= len(self._blocks):
            return
        named = dict(strategy.model.named_parameters())
        for names, norm in zip(self._blocks[:block], self._norms):
            rescale(named[names[0]], norm)
        above = [name for names in self._blocks[block:] for name in names]
        masks = {name: torch.ones_like(named[name], dtype=torch.bool) for name in above}
        new = new_network(self.model, strategy, method=self.cadence.method, seed=self.seed)
        replace_where(strategy.model, new, masks, strategy.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Returns the norms at initialisation and the rounds so far (see `base.StatefulPlugin`)."""
        return {"norms": self._norms, "round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint."""
        self._norms, self._round = state["norms"], state["round"]
