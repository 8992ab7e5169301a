"""Learn, unlearn, relearn (LURE): the weights that matter least for some training images are re-initialised.

Ramkumar, Arani, Zonooz, *Learn, Unlearn and Relearn: An Online Learning Paradigm for Deep Neural Networks* (TMLR 2023).
Before new images arrive, the network unlearns: by SNIP's saliency, |weight * gradient|, summed over a few batches, the
least salient share of all weights is re-initialised. In the authors' code (`NeurAI-Lab/LURE`, `LURE_main.py` and
`pruning.py`) the share is 0.2 (`--snip_size`), taken over all parameters together; those called `weight` are
re-initialised, normalisation layers' included, biases are not; the optimiser's state is kept.

Difference: new values are those of a newly initialised network.

Unverified: the interval within one training on a fixed set of images, and the number of batches.
"""

from typing import Any

import gin
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from zapbench.strategies.cadence import Cadence, Unit
from zapbench.strategies.new_networks import NetworkFactory, new_network, replace_where
from zapbench.strategies.training_gradients import check_batch_size, gradients_by_batch


def least_salient(saliencies: dict[str, Tensor], *, share: float) -> dict[str, Tensor]:
    """Returns, for each tensor, a mask of its weights among the least salient share of all tensors' weights.

    Args:
        saliencies: name -> |weight * gradient|.
        share: in (0, 1); at least one weight is chosen.
    """
    together = torch.cat([saliency.flatten() for saliency in saliencies.values()])
    count = max(1, int(share * len(together)))
    chosen = torch.zeros(len(together), dtype=torch.bool, device=together.device)
    chosen[together.argsort(stable=True)[:count]] = True
    parts = chosen.split([saliency.numel() for saliency in saliencies.values()])
    return {name: part.view_as(saliencies[name]) for name, part in zip(saliencies, parts)}


@gin.register
class LearnUnlearnRelearn(SupervisedPlugin):
    """Re-initialises the least salient weights at an interval. Interval and number of batches are unverified.

    Attributes:
        model: makes the network, usually `%MODEL`, as `run.model`.
        cadence: interval, from `every` and `unit`.
        share: of all weights, in (0, 1).
        batches: batches of training images that saliency is computed on.
        batch_size: images per batch.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self,
        *,
        model: NetworkFactory,
        every: int,
        unit: Unit = "epochs",
        share: float = 0.2,
        batches: int = 4,
        batch_size: int = 100,
        seed: int = 0,
    ) -> None:
        super().__init__()
        method = "LURE"
        if not 0 < share < 1:
            raise ValueError(f"{method}: share is {share}; allowed: above 0 and below 1, as 1 resets every weight")
        if batches < 1:
            raise ValueError(f"{method}: batches is {batches}; allowed: a whole number of at least 1")
        check_batch_size(method, batch_size)
        self.model = model
        self.cadence = Cadence(method, every, unit)
        self.share = share
        self.batches = batches
        self.batch_size = batch_size
        self.seed = seed

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Unlearns when it is due."""
        if not self.cadence.is_due(strategy):
            return
        named = {name: weight.detach() for name, weight in strategy.model.named_parameters() if weight.requires_grad}
        totals = {name: torch.zeros_like(weight) for name, weight in named.items()}
        for gradients in gradients_by_batch(strategy, batch_size=self.batch_size, most=self.batches):
            for name, total in totals.items():
                total.add_(gradients[name].abs())
        masks = least_salient({name: (w * totals[name]).abs() for name, w in named.items()}, share=self.share)
        masks = {name: mask for name, mask in masks.items() if name.endswith("weight")}
        new = new_network(self.model, strategy, method=self.cadence.method, seed=self.seed)
        replace_where(strategy.model, new, masks, None)
