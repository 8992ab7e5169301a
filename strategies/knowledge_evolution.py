"""Knowledge evolution (KE): in each generation, the part of the network outside a fixed sub-network is re-initialised.

Taha, Shrivastava, Davis, *Knowledge Evolution in Neural Networks* (CVPR 2021). The weights are split once into a
fit-hypothesis, which is kept, and a reset-hypothesis, which is re-initialised before each generation but the first. In
the authors' code (`ahmdtaha/knowledge_evolution`, `layers/`) the split is by kernels (KELS): of each convolution the
first ceil(rate * filters) filters at the first ceil(rate * channels) channels are kept, all channels of images, and of
the last layer the first features of all rows; or by weights (WELS): each weight at random. Normalisation layers are
kept. A generation is a training of 200 epochs with a new optimiser, so its state is cleared.

Differences: new values are those of a newly initialised network. Biases follow their filters (in the code it is not
visible what becomes of them).

Unverified: how long a generation is in a short training, and the biases.
"""

import math
from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.seeding import torch_generator
from zapbench.strategies.cadence import Cadence, Unit
from zapbench.strategies.new_networks import NetworkFactory, new_network, replace_where

Split = Literal["kernels", "weights"]


def kernel_split(shape: tuple[int, ...], *, rate: float, first: bool, last: bool) -> Tensor:
    """Returns the fit-hypothesis of a layer's weight by kernels (KELS): a bool mask of its shape.

    Args:
        shape: `(outputs, inputs, ...)`.
        rate: share of outputs and of inputs that are kept, in (0, 1).
        first: whether the inputs are images: all channels are kept.
        last: whether it is the head: all outputs are kept.
    """
    kept = torch.zeros(shape, dtype=torch.bool)
    outputs = shape[0] if last else math.ceil(shape[0] * rate)
    inputs = shape[1] if first else math.ceil(shape[1] * rate)
    kept[:outputs, :inputs] = True
    return kept


@gin.register
class KnowledgeEvolution(SupervisedPlugin):
    """Re-initialises the reset-hypothesis at an interval. The generation's length and biases are unverified.

    Attributes:
        model: makes the network, usually `%MODEL`, as `run.model`.
        cadence: length of a generation, from `every` and `unit`.
        rate: share that is kept, in (0, 1): of outputs and inputs, or of weights.
        split: `kernels` (KELS) or `weights` (WELS).
        seed: seed of the split and of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self,
        *,
        model: NetworkFactory,
        every: int,
        unit: Unit = "epochs",
        rate: float = 0.5,
        split: Split = "kernels",
        seed: int = 0,
    ) -> None:
        super().__init__()
        method = "knowledge evolution"
        if not 0 < rate < 1:
            raise ValueError(f"{method}: rate is {rate}; allowed: above 0 and below 1")
        if split not in ("kernels", "weights"):
            raise ValueError(f"{method}: split is {split!r}; allowed: kernels, weights")
        self.model = model
        self.cadence = Cadence(method, every, unit)
        self.rate = rate
        self.split = split
        self.seed = seed

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Begins a generation when it is due."""
        if not self.cadence.is_due(strategy):
            return
        new = new_network(self.model, strategy, method=self.cadence.method, seed=self.seed)
        replace_where(strategy.model, new, self._reset_hypothesis(strategy.model), None)
        strategy.optimizer.state.clear()

    def _reset_hypothesis(self, model: Classifier) -> dict[str, Tensor]:
        layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        generator = torch_generator("knowledge evolution, split", self.seed)
        masks = {}
        for name, layer in layers:
            shape = tuple(layer.weight.shape)
            if self.split == "weights":
                kept = torch.rand(shape, generator=generator) < self.rate
            else:
                kept = kernel_split(shape, rate=self.rate, first=layer is layers[0][1], last=layer is layers[-1][1])
            masks[f"{name}.weight"] = ~kept.to(layer.weight.device)
            if layer.bias is not None:
                masks[f"{name}.bias"] = ~kept.flatten(1).any(dim=1).to(layer.weight.device)
        return masks
