"""RIFLE: the head is re-initialised a few times while a pre-trained model is fine-tuned.

Li, Xiong, An, Xu, Dou, *RIFLE: Backpropagation in Depth for Deep Transfer Learning through Re-Initializing the
Fully-connected LayEr* (ICML 2020). In the authors' code (`lixingjian/RIFLE`, `train.py`) training is divided into
`fc_reinit_times + 1` periods with the same number of epochs; each but the first begins with a new head. The rate of the
encoder follows a cosine schedule over all epochs, that of the head (`--fc_lr_util=cyclic`) one in each period. Their
`run.sh` resets the head once.

Differences: where the epochs cannot be divided equally, the last period is the longest (the authors' code drops
epochs), and the head is initialised as a new head of transfer is (Kaiming normal, bias 0; theirs is PyTorch's default).

Unverified: how RIFLE does in few epochs (the authors use 40, a scenario's i.i.d. transfer five), and whether the
paper's runs used the cyclic rate, which is an option in their code.
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
    """Returns the factor in [0, 1] of a cosine schedule after `done` of `total` epochs.

    >>> cosine(0, 4), round(cosine(1, 4), 4), round(cosine(2, 4), 4)
    (1.0, 0.8536, 0.5)
    """
    return 0.5 * (1 + math.cos(math.pi * done / total))


@gin.register
class RIFLE(SupervisedPlugin):
    """Resets the head and sets learning rates, in a strategy that fine-tunes all layers on one experience.

    The optimiser gets two parameter groups: the encoder, and the head. The docstring of the module says what is
    unverified.

    Attributes:
        resets: number of resets, at least 1 and below the number of epochs.
        rates: schedule of the head's rate: `cyclic` restarts a cosine in each period, `cosine` is one cosine over all
            epochs, as for the encoder.
        moments: `keep` (the authors' code) or `clear`: the optimiser's moments of the head at a reset.
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
        """Moves the head's parameters to a parameter group of their own.

        Raises:
            ValueError: transfer is frozen, or trains the head alone, or there are too few epochs.
        """
        if not hasattr(strategy.model, "head") or not any(w.requires_grad for w in strategy.model.encoder.parameters()):
            raise ValueError(
                "RIFLE: transfer is frozen, so a reset of the head discards all learning; allowed: unfrozen transfer"
            )
        if not 1 <= self.resets < strategy.train_epochs:
            raise ValueError(f"RIFLE: resets is {self.resets}; allowed: 1 to {strategy.train_epochs - 1} (epochs - 1)")
        head = list(strategy.model.head.parameters())
        encoder = strategy.optimizer.param_groups[0]
        encoder["params"] = [p for p in encoder["params"] if all(p is not weight for weight in head)]
        strategy.optimizer.add_param_group({**encoder, "params": head})
        self._rate = encoder["lr"]

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Sets the rates of this epoch; re-initialises the head at the start of a period."""
        epoch, epochs = strategy.clock.train_exp_epochs, strategy.train_epochs
        starts = [*period_starts(epochs, self.resets), epochs]
        start, end = max(pair for pair in pairwise(starts) if pair[0] <= epoch)
        encoder, head = strategy.optimizer.param_groups
        encoder["lr"] = self._rate * cosine(epoch, epochs)
        head["lr"] = self._rate * cosine(epoch - start, end - start) if self.rates == "cyclic" else encoder["lr"]
        if epoch and epoch == start:
            self._reset(strategy, epoch)

    def _reset(self, strategy: Any, epoch: int) -> None:
        head = strategy.model.head
        rows = range(len(head.weight))
        # torch.initial_seed() is the trial's seed: the global generator is seeded before each trial.
        zap(head, rows, generator=torch_generator("rifle", torch.initial_seed(), epoch, device=head.weight.device))
        if self.moments == "clear":
            clear_moments(strategy.optimizer, head, rows)
