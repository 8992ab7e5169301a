"""Episodes as indices: a class, K images of it, R images of all classes (Algorithm 1, lines 3 to 5).

Images are named by their place in the training set, `0..images-1`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from zapbench.seeding import torch_generator


@dataclass(frozen=True)
class Episode:
    """One outer step's draws: `label`, `inner` `(K,)` images of it, and `outer` `(K + R,)`: those and R others."""

    label: int
    inner: Tensor
    outer: Tensor


class EpisodeSampler:
    """Draws the episodes of a training set; episode `i` depends on the seed and on `i` alone.

    The class is uniform, with replacement over episodes. The K images are drawn without replacement where the class
    has as many, else with. The R images are drawn without replacement from all images, the class's own included, so
    that the outer batch may hold an image twice.

    Args:
        labels: `(images,)` int64.
        inner: K.
        random: R.
        seed: seed of the draws.

    Raises:
        ValueError: K or R does not fit the training set.
    """

    def __init__(self, labels: Tensor, *, inner: int, random: int, seed: int) -> None:
        if inner < 1:
            raise ValueError(f"episodes: K (inner images) must be at least 1, got {inner}")
        if not 0 <= random <= len(labels):
            raise ValueError(f"episodes: R (random images) is {random}; allowed: 0 to {len(labels)}")
        self.labels = labels.cpu()
        self._classes = self.labels.unique()
        self._images_of = [torch.nonzero(self.labels == c).flatten() for c in self._classes]
        self._inner = inner
        self._random = random
        self._seed = seed

    def __call__(self, number: int) -> Episode:
        """Returns episode `number`, on the CPU."""
        generator = torch_generator("episode", self._seed, number)
        place = int(torch.randint(len(self._images_of), (1,), generator=generator))
        images = self._images_of[place]
        if len(images) >= self._inner:
            chosen = torch.randperm(len(images), generator=generator)[: self._inner]
        else:
            chosen = torch.randint(len(images), (self._inner,), generator=generator)
        inner = images[chosen]
        random = torch.randperm(len(self.labels), generator=generator)[: self._random]
        return Episode(int(self._classes[place]), inner, torch.cat([inner, random]))
