"""Tiny-ImageNet (Le, Yang 2015): 200 ImageNet classes of 64x64 colour images. Not in the paper.

Read from the official layout `tiny-imagenet-200/train/WNID/images/WNID_N.JPEG`, folder or archive, under
`$ZAPBENCH_DATA/tiny-imagenet`; only the training images are read. The classes for pre-training, reported and
selection trials are drawn once per version. Sizes are those of the paper's Mini-ImageNet where they fit.
"""

import functools
from pathlib import Path

import gin

from zapbench.scenarios.catalog import TINY_IMAGENET
from zapbench.scenarios.class_lists import check_counts
from zapbench.scenarios.decode import Reading, decoded
from zapbench.scenarios.downloads import provide
from zapbench.scenarios.image_files import by_class, image_files
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized
from zapbench.seeding import numpy_generator

CLASSES = 200
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@gin.register
@sized(
    classes_per_trial=60,
    classes_per_selection_trial=40,
    pretrain_images=100,
    validation_images=30,
    images_trained_on=30,
    images_held_out=100,
)
def tiny_imagenet(
    *,
    sizes: Sizes,
    name: str = "tiny_imagenet",
    size: int = 64,
    pretrain_classes: int = 100,
    selection_classes: int = 40,
    outputs: int = 200,
) -> Scenario:
    """Returns Tiny-ImageNet: 100 classes to pre-train on, 60 for reported and 40 for selection trials.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter.
        name: the scenario's name.
        size: height and width of the network's input, in pixels.
        pretrain_classes: classes to pre-train on, of 200.
        selection_classes: classes set aside for selection trials; the rest is for reported trials.
        outputs: outputs of the head, in pre-training and in transfer.
    """
    images = load(size)
    if pretrain_classes < 1 or selection_classes < 0 or pretrain_classes + selection_classes >= CLASSES:
        raise ValueError(
            f"{name}: pretrain_classes and selection_classes are {pretrain_classes} and {selection_classes}; allowed: "
            f"at least 1 and 0, and together at most {CLASSES - 1}"
        )
    order = [int(c) for c in numpy_generator("tiny_imagenet classes", 1).permutation(CLASSES)]
    rest = order[pretrain_classes:]
    return Scenario(
        name=name,
        version=TINY_IMAGENET.version,
        images=images,
        pretrain_classes=tuple(sorted(order[:pretrain_classes])),
        report_pool=tuple(sorted(rest[selection_classes:])),
        select_pool=tuple(sorted(rest[:selection_classes])),
        pretrain_outputs=outputs,
        transfer_outputs=outputs,
        mean=MEAN,
        std=STD,
        **vars(sizes),
    )


def load(size: int = 64) -> Images:
    """Returns the training images, decoded or from the cache.

    Raises:
        ValueError: the data are missing, incomplete or damaged.
    """
    return _load(size, provide(TINY_IMAGENET))


@functools.lru_cache(maxsize=2)
def _load(size: int, sources: tuple[Path, ...]) -> Images:
    files = by_class((file for file in image_files(sources[0]) if file.parts[-4:-3] == ("train",)), 2)
    if len(files) != CLASSES:
        raise ValueError(f"tiny_imagenet: {len(files)} classes in {sources[0]}, expected {CLASSES}")
    check_counts(f"tiny_imagenet in {sources[0]}", {name: len(own) for name, own in files.items()})
    for own in files.values():  # by number: WNID_2 before WNID_10
        own.sort(key=lambda file: (len(file.name), file.name))
    return decoded("tiny_imagenet", files, Reading(mode="RGB", size=size, original=(64, 64)))
