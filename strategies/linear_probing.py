"""LP-FT: the new head is trained first, then all layers (linear probing, then fine-tuning).

Kumar, Raghunathan, Jones, Ma, Liang, *Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution*
(ICLR 2022), section 3.4 and 4: a randomly initialised head distorts the features when all layers are fine-tuned, so
fine-tuning begins with the head that linear probing found. The authors tune the rates of both parts and train each with
an optimiser of its own; here the optimiser's state is cleared between the parts, and the second rate is a factor of the
first.

Unverified: the division of few epochs between the parts, and the factor.
"""

from typing import Any

import gin
from avalanche.core import SupervisedPlugin


@gin.register
class LinearProbing(SupervisedPlugin):
    """Keeps the encoder fixed in the first epochs of i.i.d. transfer. Epochs and factor are unverified.

    Attributes:
        epochs: of the head alone, at least 1 and below the number of epochs.
        factor: the rate of fine-tuning over that of linear probing, above 0.
    """

    def __init__(self, *, epochs: int = 2, factor: float = 1.0) -> None:
        super().__init__()
        if not factor > 0:
            raise ValueError(f"LP-FT: factor is {factor}; allowed: above 0")
        self.epochs = epochs
        self.factor = factor

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Fixes the encoder.

        Raises:
            ValueError: transfer is frozen, or trains the head alone, or there are too few epochs.
        """
        if not hasattr(strategy.model, "head") or not any(w.requires_grad for w in strategy.model.encoder.parameters()):
            raise ValueError("LP-FT: transfer is frozen, so there is nothing to fine-tune; allowed: unfrozen transfer")
        if not 1 <= self.epochs < strategy.train_epochs:
            most = strategy.train_epochs - 1
            raise ValueError(f"LP-FT: epochs is {self.epochs}; allowed: 1 to {most} (epochs of transfer - 1)")
        self._encoder = [weight for weight in strategy.model.encoder.parameters() if weight.requires_grad]
        self._learn(False)

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Lets the encoder learn from the first epoch of fine-tuning on."""
        if strategy.clock.train_exp_epochs != self.epochs:
            return
        self._learn(True)
        strategy.optimizer.state.clear()
        for group in strategy.optimizer.param_groups:
            group["lr"] *= self.factor

    def _learn(self, learns: bool) -> None:
        for weight in self._encoder:
            weight.requires_grad_(learns)
