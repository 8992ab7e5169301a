"""Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): 1,623 handwritten characters, 20 images each.

Read from the official layout `images_{background,evaluation}/ALPHABET/characterNN/CCCC_DD.png`, folders or archives,
under `$ZAPBENCH_DATA/omniglot-py`; where they are missing, the official archives are fetched. The 964 background
classes are for pre-training, the 659 evaluation classes for transfer. One-bit images become "L" and 28x28 (Lanczos);
paper is 1, ink 0; no mean or standard deviation.
"""

import functools
from pathlib import Path

import gin

from zapbench.scenarios.catalog import OMNIGLOT
from zapbench.scenarios.decode import Reading, decoded
from zapbench.scenarios.downloads import provide
from zapbench.scenarios.image_files import ImageFile, image_files
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized
from zapbench.seeding import numpy_generator

CLASSES = {"background": 964, "evaluation": 659}
IMAGES_PER_CLASS = 20


@gin.register
@sized(
    classes_per_trial=600,
    classes_per_selection_trial=59,
    pretrain_images=15,
    validation_images=5,
    images_trained_on=15,
    images_held_out=5,
)
def omniglot(
    *,
    sizes: Sizes,
    name: str = "omniglot",
    size: int = 28,
    pretrain_classes: int = 964,
    selection_classes: int = 59,
    outputs: int = 1000,
) -> Scenario:
    """Returns Omniglot under the paper's protocol.

    A smaller `pretrain_classes` and the `selection_classes` are drawn once per version: the same for every seed.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter.
        name: the scenario's name.
        size: height and width of the network's input, in pixels.
        pretrain_classes: classes to pre-train on, of the 964 background classes.
        selection_classes: evaluation classes set aside for selection trials; 0 leaves all 659 to the reported ones.
        outputs: outputs of the head, in pre-training and in transfer.
    """
    images = load(size)
    background = [i for i, c in enumerate(images.classes) if c.startswith("background/")]
    evaluation = [i for i, c in enumerate(images.classes) if c.startswith("evaluation/")]
    if not 1 <= pretrain_classes <= len(background):
        raise ValueError(f"{name}: pretrain_classes is {pretrain_classes}; allowed: 1 to {len(background)}")
    if not 0 <= selection_classes < len(evaluation):
        raise ValueError(f"{name}: selection_classes is {selection_classes}; allowed: 0 to {len(evaluation) - 1}")
    pretrain = numpy_generator("omniglot pre-training classes", 1).permutation(background)[:pretrain_classes]
    aside = numpy_generator("omniglot selection classes", 1).permutation(evaluation)[:selection_classes]
    return Scenario(
        name=name,
        version=OMNIGLOT.version,
        images=images,
        pretrain_classes=tuple(sorted(int(c) for c in pretrain)),
        report_pool=tuple(sorted(set(evaluation) - {int(c) for c in aside})),
        select_pool=tuple(sorted(int(c) for c in aside)),
        pretrain_outputs=outputs,
        transfer_outputs=outputs,
        **vars(sizes),
    )


def load(size: int = 28) -> Images:
    """Returns all 32,460 images, decoded or from the cache.

    Raises:
        ValueError: the data are missing and cannot be fetched, incomplete or damaged.
    """
    return _load(size, provide(OMNIGLOT))


@functools.lru_cache(maxsize=2)
def _load(size: int, sources: tuple[Path, ...]) -> Images:
    files: dict[str, list[ImageFile]] = {}
    for (part, expected), source in zip(CLASSES.items(), sources):
        own: dict[str, list[ImageFile]] = {}
        for file in image_files(source):
            if len(file.parts) >= 3:
                own.setdefault("/".join((part, *file.parts[-3:-1])), []).append(file)
        if len(own) != expected:
            raise ValueError(f"omniglot: {len(own)} classes in images_{part}, expected {expected}")
        files |= own
    for c, found in files.items():
        if len(found) != IMAGES_PER_CLASS:
            raise ValueError(f"omniglot: {len(found)} images in {c}, expected {IMAGES_PER_CLASS}")
    ordered = {c: files[c] for c in sorted(files)}
    return decoded("omniglot", ordered, Reading(mode="L", size=size, original=(105, 105)))
