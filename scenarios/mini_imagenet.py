"""Mini-ImageNet (Vinyals et al. 2016) in the split of Ravi and Larochelle (2017): 64 / 16 / 20 classes x 600 images.

Read from `$ZAPBENCH_DATA/mini-imagenet` in the two forms in use: the three pickles
`mini-imagenet-cache-{train,val,test}.pkl`, or a folder (or archive) `images` with `{train,val,test}.csv`. The 64
training classes are for pre-training, the 20 test classes for reported trials, the 16 validation classes for selection.
"""

import csv
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gin
import numpy as np
from PIL import Image

from zapbench.scenarios.cache import CLASSES, DIGEST, stored, write_facts
from zapbench.scenarios.catalog import MINI_IMAGENET
from zapbench.scenarios.class_lists import check_classes, check_counts, class_list
from zapbench.scenarios.decode import Reading, decoded
from zapbench.scenarios.downloads import provide
from zapbench.scenarios.image_files import ImageFile, image_files
from zapbench.scenarios.images import Images, Indices, digest
from zapbench.scenarios.pickles import load_plain
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized

SIZE = 84
SPLITS = ("train", "val", "test")
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@gin.register
@sized(
    classes_per_trial=20,
    classes_per_selection_trial=16,
    pretrain_images=500,
    validation_images=100,
    images_trained_on=30,
    images_held_out=100,
)
def mini_imagenet(*, sizes: Sizes, name: str = "mini_imagenet", size: int = SIZE, outputs: int = 64) -> Scenario:
    """Returns Mini-ImageNet under the paper's protocol.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter.
        name: the scenario's name.
        size: height and width of the network's input, in pixels.
        outputs: outputs of the head, in pre-training and in transfer.
    """
    images = load(size)
    place = {c: i for i, c in enumerate(images.classes)}
    train, val, test = (tuple(sorted(place[c] for c in published(split))) for split in SPLITS)
    return Scenario(
        name=name,
        version=MINI_IMAGENET.version,
        images=images,
        pretrain_classes=train,
        report_pool=test,
        select_pool=val,
        pretrain_outputs=outputs,
        transfer_outputs=outputs,
        mean=MEAN,
        std=STD,
        **vars(sizes),
    )


def published(split: str) -> tuple[str, ...]:
    """Returns the classes of `train`, `val` or `test`."""
    return class_list(f"mini-imagenet-ravi-{split}-wnids.txt")


def load(size: int = SIZE) -> Images:
    """Returns the images, decoded or from the cache.

    Raises:
        ValueError: the data are missing, incomplete, damaged, or not plain data.
    """
    return _load(size, provide(MINI_IMAGENET))


@functools.lru_cache(maxsize=2)
def _load(size: int, sources: tuple[Path, ...]) -> Images:
    if len(sources) == len(SPLITS):
        return _from_pickles(size, sources)
    files = _from_tables(sources[0], sources[1:])
    return decoded("mini_imagenet", files, Reading(mode="RGB", size=size))


def _from_tables(folder: Path, tables: tuple[Path, ...]) -> Mapping[str, list[ImageFile]]:
    """Returns class -> image files, by the CSVs' columns `filename` and `label`."""
    at_hand: dict[str, list[ImageFile]] = {}
    for file in image_files(folder):
        at_hand.setdefault(file.parts[-1], []).append(file)
    named: set[str] = set()
    found: dict[str, list[ImageFile]] = {}
    for split, table in zip(SPLITS, tables):
        own: dict[str, list[ImageFile]] = {}
        for name, label in _rows(table):
            files = at_hand.get(name, [])
            if not files:
                raise ValueError(f"{table} names {name}, which is not in {folder}")
            if len(files) > 1:
                raise ValueError(f"{table} names {name}, which is in {folder} twice: {files[0].name}, {files[1].name}")
            if name in named:
                raise ValueError(f"{table} names {name}, which was named before: an image is of one class, once")
            named.add(name)
            own.setdefault(label, []).append(files[0])
        check_classes(str(table), list(own), published(split))
        check_counts(str(table), {label: len(images) for label, images in own.items()})
        found |= {c: sorted(files, key=lambda file: file.parts[-1]) for c, files in own.items()}
    return dict(sorted(found.items()))


def _rows(table: Path) -> list[tuple[str, str]]:
    """Returns the columns `filename` and `label` of a CSV file; a byte-order mark is skipped."""
    if not table.is_file():
        raise ValueError(f"{table} is not a regular file")
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = [(row.get("filename"), row.get("label")) for row in csv.DictReader(lines)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} is not a CSV file in UTF-8 ({error})") from None
    found = [(name, label) for name, label in rows if name and label]
    if len(found) < len(rows) or not rows:
        raise ValueError(f"{table} has no columns filename and label, or a row without them")
    return found


def _from_pickles(size: int, sources: tuple[Path, ...]) -> Images:
    about = [(path.name, path.stat()) for path in sources]
    stamps = [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in about]
    content = hashlib.sha256(repr(stamps).encode()).hexdigest()
    key = {"content": content, "size": size, "form": "pickles", "version": 2}
    return stored("mini_imagenet", key, lambda folder: _write(folder, size, sources))


def _write(folder: Path, size: int, sources: tuple[Path, ...]) -> None:
    classes: dict[str, np.typing.NDArray[np.uint8]] = {}
    for split, path in zip(SPLITS, sources):
        pixels, places = _content(path)
        check_classes(str(path), list(places), published(split))
        check_counts(str(path), {label: len(index) for label, index in places.items()})
        classes |= {c: pixels[index] for c, index in places.items()}
    names = sorted(classes)
    labels = np.repeat(np.arange(len(names)), [len(classes[c]) for c in names])
    originals = np.concatenate([classes.pop(c) for c in names])
    shown = originals if size == SIZE else np.stack([_resized(image, size) for image in originals])
    np.save(folder / "pixels.npy", shown)
    write_facts(folder, labels, {CLASSES: names, DIGEST: digest(originals, labels)})


def _content(path: Path) -> tuple["np.typing.NDArray[np.uint8]", dict[str, Indices]]:
    """Returns `(images, 84, 84, 3)` pixels, and class -> indices, of one pickle."""
    found: Any = load_plain(path)
    pixels = found.get("image_data") if isinstance(found, dict) else None
    by_class = found.get("class_dict") if isinstance(found, dict) else None
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (SIZE, SIZE, 3):
        raise ValueError(f"{path}: image_data is not a uint8 array of shape (images, {SIZE}, {SIZE}, 3)")
    if not isinstance(by_class, dict) or not by_class:
        raise ValueError(f"{path}: class_dict is not a dictionary of classes")
    places = {
        str(c): _indices(index, len(pixels), f"{path}: class_dict[{str(c)!r:.40}]") for c, index in by_class.items()
    }
    counts = np.bincount(np.concatenate(list(places.values())), minlength=len(pixels))
    if counts.max(initial=0) > 1:
        raise ValueError(f"{path}: class_dict has image {counts.argmax()} twice; an image is of one class, once")
    return pixels, places


def _indices(index: Any, images: int, where: str) -> Indices:
    """Returns a list or array of indices as an array."""
    numbers = isinstance(index, list) and all(type(number) is int for number in index)
    if not numbers and not (isinstance(index, np.ndarray) and index.ndim == 1 and index.dtype.kind in "iu"):
        raise ValueError(f"{where} is not a list of indices")
    if not len(index):
        raise ValueError(f"{where} is not a list of indices: it is empty")
    if min(index) < 0 or max(index) >= images:
        raise ValueError(f"{where} has an index outside of its {images} images")
    return np.asarray(index, dtype=np.int64)


def _resized(image: "np.typing.NDArray[np.uint8]", size: int) -> "np.typing.NDArray[np.uint8]":
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
