"""Augmentation of pre-training images by torchvision's v2 transforms, on the device; none by default.

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

from zapbench.scenarios.image_tensor import Augmentation

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
    """Returns an augmentation that applies the transforms in order to a batch: one draw for all of its images."""
    return _Chain(transforms)


@gin.register
def each_image(*, transforms: Sequence[Callable[[Tensor], Tensor]]) -> Augmentation:
    """Returns an augmentation that applies the transforms in order to each image, each with its own draw (slower)."""
    chain = _Chain(transforms)
    return lambda images: torch.stack([chain(image) for image in images])


class _Chain:
    """Applies transforms in order; their draws come from torch's global generator, as always in torchvision."""

    def __init__(self, transforms: Sequence[Callable[[Tensor], Tensor]]) -> None:
        self._transforms = tuple(transforms)

    def __call__(self, images: Tensor) -> Tensor:
        for transform in self._transforms:
            images = transform(images)
        return images
