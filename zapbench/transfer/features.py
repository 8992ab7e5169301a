"""A learner's inputs: images, or a frozen encoder's features of them, computed once."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from zapbench.networks.passes import in_passes
from zapbench.scenarios.image_tensor import ImageTensor
from zapbench.scenarios.trial import Trial

Inputs = Callable[[Tensor], Tensor]
"""Image indices `(n,)` -> the learner's inputs `(n, ...)`."""

EVALUATION_BATCH = 1024
"""Images that are evaluated at a time."""


class Features:
    """A frozen encoder's features of images, computed once for all trials.

    Calling it with image indices gives features `(n, features)`.

    Attributes:
        table: `(images, features)`, one row per image.
        width: number of features.
    """

    def __init__(self, encoder: nn.Module, images: ImageTensor, wanted: Tensor) -> None:
        self._row = torch.full((len(images.pixels),), -1, dtype=torch.int64)
        wanted = wanted.unique()
        self._row[wanted] = torch.arange(len(wanted))
        encoder.eval()
        with torch.no_grad():
            parts = [encoder(images(part)) for part in in_passes(wanted, encoder)]
        self.table = torch.cat(parts)
        self.width = int(self.table.shape[1])

    def rows(self, index: Tensor) -> Tensor:
        """Returns the rows of `table` that hold images `index`."""
        return self._row[index]

    def rows_of(self, trial: Trial) -> tuple[Tensor, Tensor]:
        """Returns the rows of a trial's images trained on and of those held out, each `(classes, images)`."""
        return self.rows(torch.from_numpy(trial.train)), self.rows(torch.from_numpy(trial.held_out))

    def mapped(self, wanted: Tensor, function: Callable[[Tensor], Tensor]) -> "Features":
        """Returns a function's values of the features of some images, as features in a table of their own.

        Args:
            wanted: image indices, of any shape.
            function: features `(n, features)` -> others `(n, ...)`.
        """
        wanted = wanted.unique()
        found = copy.copy(self)
        found._row = torch.full_like(self._row, -1)
        found._row[wanted] = torch.arange(len(wanted))
        found.table = torch.cat([function(self(part)) for part in wanted.split(EVALUATION_BATCH)])
        found.width = int(found.table.shape[1])
        return found

    def __call__(self, index: Tensor) -> Tensor:
        """Returns the features of images `index`."""
        return self.table[self._row[index]]
