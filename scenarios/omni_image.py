"""Omni-image (Frati, Traft, Cheney 2023): 1,000 ImageNet classes, 20 or 100 similar images each, 84x84.

Read from the authors' archives `OmnImage84_{20,100}.zip`, or folders, under `$ZAPBENCH_DATA/omni-image`; or built from
a local ImageNet-1k training folder and the published list. 300 classes are for transfer: the list that the authors
evolved, or a random draw.
"""

import functools
import io
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import gin
import numpy as np
from PIL import Image

from zapbench.scenarios.catalog import OMNI_IMAGE, OMNI_IMAGE_100
from zapbench.scenarios.class_lists import check_classes, check_counts, class_list, lines_of
from zapbench.scenarios.data_set import DataSet
from zapbench.scenarios.decode import Reading, decoded, decoded_into
from zapbench.scenarios.downloads import provide
from zapbench.scenarios.image_files import ImageFile, by_class, image_files
from zapbench.scenarios.images import Images
from zapbench.scenarios.progress import show_progress
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized
from zapbench.seeding import numpy_generator

SIZE = 84
TRANSFER_CLASSES = 300
MEAN = (0.4875, 0.4667, 0.4110)
STD = (0.2607, 0.2528, 0.2678)
LIST = "OmnImage_20.txt"
EVOLVED = "OmnImage-evolved-test-wnids.json"


@gin.register
@sized(
    classes_per_trial=300,
    classes_per_selection_trial=300,
    pretrain_images=15,
    validation_images=5,
    images_trained_on=15,
    images_held_out=5,
)
def omni_image(
    *,
    sizes: Sizes,
    name: str = "omni_image",
    size: int = SIZE,
    images_per_class: Literal[20, 100] = 20,
    split: Literal["evolved"] | int = "evolved",
    selection_classes: int = 0,
    outputs: int = 700,
) -> Scenario:
    """Returns Omni-image under the paper's protocol: 700 classes to pre-train on, 300 for transfer.

    A trial of the paper has all 300 transfer classes. None is left for selection trials: they have other
    draws of the same classes.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter.
        name: the scenario's name.
        size: height and width of the network's input, in pixels.
        images_per_class: version of the data set, 20 or 100.
        split: `evolved` for the authors' list of transfer classes, or a seed that draws them.
        selection_classes: transfer classes set aside for selection trials.
        outputs: outputs of the head, in pre-training and in transfer.
    """
    if images_per_class not in (20, 100):
        raise ValueError(f"{name}: images_per_class is {images_per_class}; allowed: 20, 100")
    if not 0 <= selection_classes < TRANSFER_CLASSES:
        raise ValueError(f"{name}: selection_classes is {selection_classes}; allowed: 0 to {TRANSFER_CLASSES - 1}")
    chosen = transfer_classes(split)
    images = load(size, images_per_class)
    transfer = [i for i, c in enumerate(images.classes) if c in chosen]
    aside = set(numpy_generator("omni_image selection classes", 1).permutation(transfer)[:selection_classes].tolist())
    return Scenario(
        name=name,
        version=OMNI_IMAGE.version,
        images=images,
        pretrain_classes=tuple(i for i, c in enumerate(images.classes) if c not in chosen),
        report_pool=tuple(c for c in transfer if c not in aside),
        select_pool=tuple(sorted(aside)),
        pretrain_outputs=outputs,
        transfer_outputs=outputs,
        mean=MEAN,
        std=STD,
        **vars(sizes),
    )


@functools.cache
def listed() -> dict[str, tuple[str, ...]]:
    """Returns the published list: class -> its 20 files of ImageNet's training folder."""
    found: dict[str, list[str]] = {}
    for line in class_list(LIST):
        found.setdefault(line.split("/")[0], []).append(line)
    return {c: tuple(found[c]) for c in sorted(found)}


def transfer_classes(split: Literal["evolved"] | int) -> frozenset[str]:
    """Returns the 300 classes for transfer.

    Raises:
        ValueError: `split` is neither `evolved` nor a seed.
    """
    if split == "evolved":
        return frozenset(class_list(EVOLVED))
    if isinstance(split, bool) or not isinstance(split, int) or split < 0:
        raise ValueError(f"omni_image: split is {split!r}; allowed: 'evolved', or a seed of at least 0")
    order = numpy_generator("omni_image transfer classes", split).permutation(list(listed()))
    return frozenset(str(c) for c in order[:TRANSFER_CLASSES])


def load(size: int = SIZE, images_per_class: int = 20) -> Images:
    """Returns the images, decoded or from the cache.

    Raises:
        ValueError: the data are missing, incomplete or damaged.
    """
    return _load(size, images_per_class, provide(_description(images_per_class)))


def load_100() -> Images:
    """Returns the images of the version with 100 per class, as `load` does."""
    return load(images_per_class=100)


def _description(images_per_class: int) -> DataSet:
    return OMNI_IMAGE if images_per_class == 20 else OMNI_IMAGE_100


@functools.lru_cache(maxsize=2)
def _load(size: int, images_per_class: int, sources: tuple[Path, ...]) -> Images:
    name = _description(images_per_class).name
    files = by_class(image_files(sources[0]), 1)
    check_classes(name, list(files), list(listed()))
    check_counts(f"{name} in {sources[0]}", {label: len(own) for label, own in files.items()})
    return decoded(name, files, Reading(mode="RGB", size=size, original=(SIZE, SIZE)))


def build(imagenet: Path, *, images_per_class: int = 20, listing: Path | None = None) -> Path:
    """Builds Omni-image from a local ImageNet-1k training folder; returns the archive, which is written atomically.

    Images are stretched to 84x84 by area averaging, as by the authors (OpenCV's INTER_AREA; here PIL's box filter),
    and stored losslessly. Pixels are close to those of the authors, but not equal.

    Args:
        imagenet: the folder `train` of ImageNet-1k, with `WNID/WNID_N.JPEG`.
        images_per_class: version of the data set, 20 or 100.
        listing: the published list; None for the shipped one, of 20 images per class.

    Raises:
        ValueError: the list is missing or not such a list, or an image is missing or damaged.
        OSError: the disk is full, or there is no permission.
    """
    description = _description(images_per_class)
    names = _names(images_per_class, listing)
    files: dict[str, list[ImageFile]] = {}
    for line in names:
        path = imagenet / line
        if not path.is_file():
            lost = "class" if not path.parent.is_dir() else "image"
            raise ValueError(f"{imagenet} lacks the {lost} {path.parent.name if lost == 'class' else line}")
        files.setdefault(line.split("/")[0], []).append(ImageFile(str(imagenet), line, (0, 0)))
    target = description.path / f"OmnImage84_{images_per_class}_built.zip"
    description.path.mkdir(parents=True, exist_ok=True)
    reading = Reading(mode="RGB", size=SIZE, resampling="box")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=description.path) as scratch:
        decoded_into(description.name, files, reading, Path(scratch))
        pixels = np.load(Path(scratch) / "pixels.npy", mmap_mode="r")
        flat = [file.name for own in files.values() for file in own]
        with zipfile.ZipFile(Path(scratch) / target.name, "w") as archive:
            for done, (name, image) in enumerate(zip(flat, pixels), start=1):
                content = io.BytesIO()
                Image.fromarray(image).save(content, "PNG")
                archive.writestr(f"OmnImage84_{images_per_class}/{Path(name).with_suffix('.png')}", content.getvalue())
                show_progress(f"writing {target.name}", done, len(flat))
        os.replace(Path(scratch) / target.name, target)
    return target


def _names(images_per_class: int, listing: Path | None) -> Sequence[str]:
    if listing is None and images_per_class != 20:
        raise ValueError(
            f"the list of Omni-image with {images_per_class} images per class is not shipped; give --list "
            f"OmnImage_{images_per_class}.txt ({OMNI_IMAGE.source})"
        )
    names = class_list(LIST) if listing is None else tuple(lines_of(listing))
    counts = Counter(name.split("/")[0] for name in names)
    check_classes(f"list {listing or LIST}", list(counts), list(listed()))
    for name in names:
        parts = Path(name).parts
        if len(parts) != 2 or ".." in parts:
            raise ValueError(f"{listing or LIST}: {name!r} is not WNID/FILE")
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(f"{listing or LIST}: {twice} is listed twice")
    for c, count in counts.items():
        if count != images_per_class:
            raise ValueError(f"{listing or LIST}: {count} images of {c}, expected {images_per_class}")
    return names
