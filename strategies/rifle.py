"""RIFLE: the head is drawn anew a few times while a pre-trained model is fine-tuned.

Li, Xiong, An, Xu, Dou, *RIFLE: Backpropagation in Depth for Deep Transfer Learning through Re-Initializing the
Fully-connected LayEr* (ICML 2020). In the authors' code (`lixingjian/RIFLE`, `train.py`) training is cut into
`fc_reinit_times + 1` periods of as many epochs; each but the first begins with a new head. The rate of the layers below
falls along a cosine over all epochs, that of the head (`--fc_lr_util=cyclic`) along one in each period. One reset is
their `run.sh`.

Differences: where periods cannot be equal the last is the longest (their code drops epochs instead), and the head is
drawn as a new head of transfer is (Kaiming normal, bias 0; theirs is PyTorch's default).

Unverified: in how few epochs it pays. Theirs are 40, a scenario's i.i.d. transfer has five; and that the paper's own
runs used the cyclic rate, which is an option in their code.
"""

import math
from itertools import pairwise
from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedPlugin

from zapbench.seeding import torch_generator
from zapbench.strategies.zapping import clear_moments, zap


def period_starts(epochs: int, resets: int) -> list[int]:
    """Returns the first epoch of each period, the first being 0.

    >>> period_starts(40, 3), period_starts(5, 1)
    ([0, 10, 20, 30], [0, 2])
    """
    return [period * epochs // (resets + 1) for period in range(resets + 1)]


def cosine(done: int, total: int) -> float:
    """Returns the share of a rate that is left after `done` of `total` epochs, in [0, 1].

    >>> cosine(0, 4), round(cosine(1, 4), 4), round(cosine(2, 4), 4)
    (1.0, 0.8536, 0.5)
    """
    return 0.5 * (1 + math.cos(math.pi * done / total))


@gin.register
class RIFLE(SupervisedPlugin):
    """Resets the head and sets rates, in a strategy that fine-tunes a whole model on one experience.

    The optimiser's groups become two: the layers below, and the head. What is unverified is said above.

    Attributes:
        resets: how often the head is drawn anew, at least 1 and fewer than there are epochs.
        rates: of the head: `cyclic`, along a cosine in each period, or `cosine`, over all epochs as the layers below.
        moments: whether the optimiser's moments of the head are kept (authors' code) or cleared at a reset.
    """

    def __init__(
        self,
        *,
        resets: int = 1,
        rates: Literal["cyclic", "cosine"] = "cyclic",
        moments: Literal["keep", "clear"] = "keep",
    ) -> None:
        super().__init__()
        for name, value, allowed in (("rates", rates, ("cyclic", "cosine")), ("moments", moments, ("keep", "clear"))):
            if value not in allowed:
                raise ValueError(f"RIFLE: {name} is {value!r}; allowed: {', '.join(allowed)}")
        self.resets = resets
        self.rates = rates
        self.moments = moments

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Gives the head a group of its own in the optimiser.

        Raises:
            ValueError: transfer is frozen, or there are too few epochs.
        """
        if not hasattr(strategy.model, "head"):
            raise ValueError("RIFLE: transfer is frozen, so that a new head would undo all; allowed: unfrozen")
        if not 1 <= self.resets < strategy.train_epochs:
            raise ValueError(
                f"RIFLE: resets is {self.resets}; allowed: 1 to {strategy.train_epochs - 1} (epochs less 1)"
            )
        own = list(strategy.model.head.parameters())
        below = strategy.optimizer.param_groups[0]
        below["params"] = [p for p in below["params"] if all(p is not weight for weight in own)]
        strategy.optimizer.add_param_group({**below, "params": own})
        self._rate = below["lr"]

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Sets this epoch's rates; draws the head anew where a period begins."""
        epoch, epochs = strategy.clock.train_exp_epochs, strategy.train_epochs
        starts = [*period_starts(epochs, self.resets), epochs]
        begun, end = max(pair for pair in pairwise(starts) if pair[0] <= epoch)
        below, own = strategy.optimizer.param_groups
        below["lr"] = self._rate * cosine(epoch, epochs)
        own["lr"] = self._rate * cosine(epoch - begun, end - begun) if self.rates == "cyclic" else below["lr"]
        if epoch and epoch == begun:
            self._reset(strategy, epoch)

    def _reset(self, strategy: Any, epoch: int) -> None:
        head = strategy.model.head
        rows = range(len(head.weight))
        # torch.initial_seed() is the trial's: its global state is seeded before a contender learns.
        zap(head, rows, generator=torch_generator("rifle", torch.initial_seed(), epoch, device=head.weight.device))
        if self.moments == "clear":
            clear_moments(strategy.optimizer, head, rows)
