"""Training data of a strategy: all images of an experience, indexed by batch instead of collated image by image.

Scenarios attach an image source to their experiences (`experience.images`: indices -> images). The data set of any
other Avalanche experience is stacked into one tensor, once.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from zapbench.seeding import torch_generator

ImageSource = Callable[[Tensor], Tensor]


def images_of(experience: Any) -> tuple[ImageSource, Tensor]:
    """Returns the image source and the labels `(images,)` of an experience.

    Args:
        experience: of an Avalanche stream, with or without an image source attached.
    """
    source = getattr(experience, "images", None)
    if source is not None:
        return source, torch.as_tensor(experience.dataset.targets)
    items = [experience.dataset[i] for i in range(len(experience.dataset))]
    stacked = torch.stack([item[0] for item in items])
    return (lambda index: stacked[index.to(stacked.device)]), torch.tensor([int(item[1]) for item in items])


class Batches:
    """The mini-batches of one epoch: each image once, in an order that depends on the seed and the epoch alone.

    Iterating yields what Avalanche's loaders yield: images, labels, task labels (all 0).

    Args:
        source: indices -> images.
        labels: `(images,)`.
        size: images per batch; the last batch may be smaller.
        seed: seed of the orders.
        epoch: number of the epoch, from 0.
        first: batches to skip, when training resumes within the epoch.
    """

    def __init__(
        self, source: ImageSource, labels: Tensor, *, size: int, seed: int, epoch: int, first: int = 0
    ) -> None:
        self._source = source
        self._labels = labels
        self._size = size
        self._first = first
        self._order = torch.randperm(len(labels), generator=torch_generator("epoch", seed, epoch))

    def __len__(self) -> int:
        return -(-len(self._labels) // self._size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        for batch in list(self._order.split(self._size))[self._first :]:
            labels = self._labels[batch]
            yield [self._source(batch), labels, torch.zeros_like(labels)]
