"""I.i.d. pre-training: shuffled batches of all classes (the paper's baseline)."""

from typing import Any

import gin
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor

from zapbench.networks.gradients import manual_gradients
from zapbench.strategies.data import Batches, images_of


@gin.register
class IID(SupervisedTemplate):
    """Avalanche's supervised strategy on one experience, with batches indexed instead of collated image by image.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per batch; the last batch of an epoch may be smaller.
        seed: seed of the shuffles, usually `%PRETRAIN_SEED`.
        first_update: updates made before training resumed (see `base.ResumableStrategy`).
        fast: whether manual gradients replace autograd where they are faster; the two agree to rounding.
    """

    def __init__(self, *, epochs: int, batch_size: int = 256, seed: int = 0, fast: bool = True, **kwargs: Any) -> None:
        if epochs < 1:
            raise ValueError(f"IID: epochs must be at least 1, got {epochs}")
        if batch_size < 1:
            raise ValueError(f"IID: batch_size must be at least 1, got {batch_size}")
        super().__init__(train_epochs=epochs, train_mb_size=batch_size, **kwargs)
        self.seed = seed
        self.fast = fast
        self.first_update = 0

    def updates(self, images: int) -> int:
        """Returns the number of updates in all epochs over `images` images."""
        return int(self.train_epochs * -(-images // self.train_mb_size))

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Prepares the images; `training_epoch` makes the batches of each epoch."""
        self._source, self._labels = images_of(self.experience)

    def training_epoch(self, **kwargs: Any) -> None:
        """Trains for one epoch, without the batches that were trained on before a checkpoint."""
        epoch = self.clock.train_exp_epochs
        if epoch == 0:  # plug-ins have added their hooks
            self._net = manual_gradients(self.model, self.train_mb_size, fast=self.fast)
        batches = -(-len(self._labels) // self.train_mb_size)
        first = min(max(self.first_update - epoch * batches, 0), batches)
        self.dataloader = Batches(
            self._source, self._labels, size=self.train_mb_size, seed=self.seed, epoch=epoch, first=first
        )
        self.clock.train_epoch_iterations = first
        super().training_epoch(**kwargs)
        if self._net is not None:
            self._net.release()

    def forward(self) -> Tensor:
        """Returns the logits of the mini-batch."""
        logits: Tensor = super().forward() if self._net is None or not self.is_training else self._net(self.mb_x)
        return logits
