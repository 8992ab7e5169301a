"""What a strategy trains on: all images of an experience, gathered in batches.

Scenarios hang an image source on their experiences (`experience.images`: indices -> images); for any other Avalanche
experience the data set is stacked once.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from zapbench.seeding import torch_generator

ImageSource = Callable[[Tensor], Tensor]


def images_of(experience: Any) -> tuple[ImageSource, Tensor]:
    """Returns an image source, and the labels `(images,)` of an experience's data set."""
    source = getattr(experience, "images", None)
    if source is not None:
        return source, torch.as_tensor(experience.dataset.targets)
    items = [experience.dataset[i] for i in range(len(experience.dataset))]
    stacked = torch.stack([item[0] for item in items])
    return (lambda index: stacked[index.to(stacked.device)]), torch.tensor([int(item[1]) for item in items])


class Batches:
    """The batches of one epoch: each image once, in an order of the seed and the epoch's number.

    Iterating gives Avalanche's mini-batches: images, labels, task labels (all 0).
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
