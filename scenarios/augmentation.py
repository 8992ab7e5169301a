"""Augmentation of the images that are pre-trained on: torchvision's v2 transforms, on the device, none by default.

omniglot.augmentation = @each_image()
each_image.transforms = [@RandomCrop(), @RandomHorizontalFlip()]
RandomCrop.size = 28
RandomCrop.padding = 3
"""

from collections.abc import Callable, Sequence

import gin
import torch
from torch import Tensor
from torchvision.transforms import v2

from zapbench.scenarios.scenario import Augmentation

for _transform in (
    v2.ColorJitter,
    v2.RandomAffine,
    v2.RandomCrop,
    v2.RandomErasing,
    v2.RandomHorizontalFlip,
    v2.RandomResizedCrop,
    v2.RandomRotation,
    v2.TrivialAugmentWide,
):
    gin.external_configurable(_transform, module="torchvision.transforms.v2")


@gin.register
def whole_batch(*, transforms: Sequence[Callable[[Tensor], Tensor]]) -> Augmentation:
    """Returns transforms, one after the other, of a batch at once: all of its images get the same draw."""
    return _Chain(transforms)


@gin.register
def each_image(*, transforms: Sequence[Callable[[Tensor], Tensor]]) -> Augmentation:
    """Returns transforms, one after the other, with a draw of its own for each image (slower: an image at a time)."""
    chain = _Chain(transforms)
    return lambda images: torch.stack([chain(image) for image in images])


class _Chain:
    """Transforms one after the other; their draws come from torch's global generator, as torchvision's do."""

    def __init__(self, transforms: Sequence[Callable[[Tensor], Tensor]]) -> None:
        self._transforms = tuple(transforms)

    def __call__(self, images: Tensor) -> Tensor:
        for transform in self._transforms:
            images = transform(images)
        return images
