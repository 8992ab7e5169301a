"""Episodes as indices: a class, K images of it and R images of all classes (Algorithm 1, lines 3 to 5).

An image is its index in the training set, `0..images-1`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from zapbench.seeding import torch_generator


@dataclass(frozen=True)
class Episode:
    """The draws of one outer step.

    Attributes:
        label: the episode's class.
        inner: `(K,)` indices of images of that class.
        outer: `(K + R,)` indices: `inner`, then R random images.
    """

    label: int
    inner: Tensor
    outer: Tensor


class EpisodeSampler:
    """Draws the episodes of a training set; episode `i` depends on the seed and on `i` alone.

    Classes are drawn uniformly, with replacement over episodes. The K images are drawn without replacement if the class
    has at least K images, otherwise with replacement. The R images are drawn without replacement from all images,
    those of the episode's class included, so an image may be in the outer batch twice.

    Args:
        labels: `(images,)` int64.
        inner: K.
        random: R.
        seed: seed of the draws.

    Raises:
        ValueError: K is below 1, or R is larger than the training set.
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
        """Returns episode `number` (from 0), on the CPU."""
        generator = torch_generator("episode", self._seed, number)
        index = int(torch.randint(len(self._images_of), (1,), generator=generator))
        images = self._images_of[index]
        if len(images) >= self._inner:
            chosen = torch.randperm(len(images), generator=generator)[: self._inner]
        else:
            chosen = torch.randint(len(images), (self._inner,), generator=generator)
        inner = images[chosen]
        random = torch.randperm(len(self.labels), generator=generator)[: self._random]
        return Episode(int(self._classes[index]), inner, torch.cat([inner, random]))
