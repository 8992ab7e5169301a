"""A data set of torchvision or Avalanche as a scenario, with classes split by number or by list.

# mine.gin
run.scenario = @torchvision_dataset()
torchvision_dataset.dataset = "EMNIST"
torchvision_dataset.parts = ({"split": "letters", "train": True}, {"split": "letters", "train": False})
torchvision_dataset.name = "emnist_letters"
torchvision_dataset.pretrain = 13
torchvision_dataset.selection = 5
torchvision_dataset.size = 28
torchvision_dataset.colour = False

The library reads the files, with its own code. torchvision compares CIFAR's pickles with their md5 before it opens
them; of other data sets use only files whose source you trust.
"""

import contextlib
import functools
import hashlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import gin
import numpy as np
import numpy.typing as npt
from PIL import Image

from zapbench.scenarios.cache import CLASSES, DIGEST, stored, write_facts
from zapbench.scenarios.catalog import CATALOG
from zapbench.scenarios.class_split import About, Classes, by_classes
from zapbench.scenarios.downloads import provide
from zapbench.scenarios.images import Images, digest
from zapbench.scenarios.progress import show_progress
from zapbench.scenarios.roots import data_root
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized
from zapbench.text import nearest, one_line

LIBRARIES = {"torchvision.datasets": "torchvision", "avalanche.benchmarks.datasets": "avalanche-lib"}
"""Module -> its distribution, in the order in which a data set is looked for."""

Parts = Sequence[Mapping[str, Any]]
CHUNK = 500
ATTEMPTS = 3


class _Changed(Exception):
    """Opening a data set changed its folder: it was downloaded or unpacked."""


@gin.register
@sized(
    classes_per_trial=0,
    classes_per_selection_trial=0,
    pretrain_images=15,
    validation_images=5,
    images_trained_on=15,
    images_held_out=5,
)
def torchvision_dataset(
    *,
    sizes: Sizes,
    dataset: str = gin.REQUIRED,
    name: str = gin.REQUIRED,
    pretrain: Classes = gin.REQUIRED,
    selection: Classes = 0,
    transfer: Classes = 0,
    root: str = "",
    parts: Parts = (),
    size: int = 32,
    colour: bool = True,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    outputs: int = 0,
    version: int = 1,
) -> Scenario:
    """Returns the scenario of a data set of torchvision or Avalanche, whose images have one class each.

    The images of its parts, say of its training and of its test set, are put together. Which of a class's images are
    trained on and which are held out is drawn for each trial, whatever part they are from. Classes given by number are
    drawn once per name and version, of those that no list names.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter. 0 classes per trial are all there are.
        dataset: what the library calls it: `CIFAR100`, `SVHN`, `CUB200`.
        name: the scenario's name.
        pretrain: classes to pre-train on: how many, which, or a text file that lists them.
        selection: the same for selection trials.
        transfer: the same for reported trials; 0 for all that remain.
        root: the folder that the library is given; empty for `$ZAPBENCH_DATA/DATASET`, in lower case.
        parts: the library's arguments of each part, say `({"split": "train"}, {"split": "test"})`; () for both values
            of `train` where it has this argument, else for one part.
        size: height and width of the network's input, in pixels; other sizes are resized (Lanczos).
        colour: whether images are read as RGB, else as grey.
        mean: mean of each channel, () for 0.
        std: standard deviation of each channel, () for 1.
        outputs: outputs of the head, in pre-training and in transfer; 0 for as many as there are classes.
        version: to be raised with any change that changes a score.

    Raises:
        ValueError: no library has the data set, its files are missing or damaged, or its images have no single class.
    """
    images = load(dataset, root, parts, size, "RGB" if colour else "L")
    wanted = {"pretrain": pretrain, "selection": selection, "transfer": transfer}
    about = About(name=name, version=version, mean=tuple(mean), std=tuple(std), outputs=outputs)
    return by_classes(about, images, wanted, sizes)


def load(dataset: str, root: str = "", parts: Parts = (), size: int = 32, mode: str = "RGB") -> Images:
    """Returns the images of a data set, decoded or from the cache.

    Raises:
        ValueError: see `torchvision_dataset`.
    """
    folder = Path(root).expanduser() if root else data_root() / dataset.lower()
    known = CATALOG.get(dataset.lower())
    if known is not None and known.path == folder:
        provide(known)  # resumes a download that broke; the library unpacks it
    return _load(dataset, folder, json.dumps([dict(part) for part in parts]), size, mode)


def load_cifar100() -> Images:
    """Returns the images of CIFAR-100, as `load` does."""
    return load("CIFAR100")


@functools.lru_cache(maxsize=2)
def _load(dataset: str, folder: Path, parts: str, size: int, mode: str) -> Images:
    if size < 1:
        raise ValueError(f"torchvision_dataset.size must be at least 1, got {size}")
    module, kind = _kind_of(dataset)
    arguments = _arguments(kind, folder, json.loads(parts))
    about = {"dataset": f"{module}.{dataset}", "parts": parts, "size": size, "mode": mode, "form": 1}
    about |= {name: metadata.version(name) for name in (LIBRARIES[module], "pillow")}
    files = ""

    def write(target: Path) -> None:
        opened = [_open(kind, dataset, folder, own) for own in arguments]
        if files and _stamps(folder) != files:
            raise _Changed
        _write(target, dataset, opened, size, mode)

    for _ in range(ATTEMPTS):
        files = _stamps(folder) if "root" in inspect.signature(kind).parameters else ""
        with contextlib.suppress(_Changed):
            return stored(dataset.lower(), about | {"files": files}, write)
    raise ValueError(f"{dataset}: the files in {folder} change while they are read")


def _kind_of(dataset: str) -> tuple[str, Any]:
    """Returns the module that has a data set, and its class."""
    from torch.utils.data import Dataset

    known: list[str] = []
    for name in LIBRARIES:
        module = importlib.import_module(name)
        found = {key: value for key, value in vars(module).items() if inspect.isclass(value)}
        kinds = {key: value for key, value in found.items() if issubclass(value, Dataset) and key[0].isupper()}
        if dataset in kinds:
            return name, kinds[dataset]
        known += kinds
    raise ValueError(f"neither torchvision nor Avalanche has a data set {dataset!r}{nearest(dataset, known)}")


def _arguments(kind: Any, folder: Path, parts: Parts) -> list[dict[str, Any]]:
    """Returns the arguments with which each part is opened."""
    takes = inspect.signature(kind).parameters
    own: dict[str, Any] = {"root": str(folder)} if "root" in takes else {}
    if "download" in takes:
        unpack = (folder / str(getattr(kind, "filename", ""))).is_file()
        own["download"] = unpack or os.environ.get("ZAPBENCH_OFFLINE", "0") in ("", "0")
    both = [{"train": True}, {"train": False}] if "train" in takes else [{}]
    for part in parts:
        for name in part:
            if name not in takes:
                raise ValueError(f"{kind.__name__} has no argument {name!r}{nearest(name, takes)}")
    return [own | dict(part) for part in parts or both]


def _open(kind: Any, dataset: str, folder: Path, arguments: Mapping[str, Any]) -> Any:
    existed = folder.exists()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return kind(**arguments)
    except Exception as error:  # whatever the code of a library raises where files are missing or damaged
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()  # the library made it for a download that failed
        reason = one_line(str(error) or type(error).__name__).rstrip(".")
        offline = "" if arguments.get("download", True) else "; ZAPBENCH_OFFLINE is set, so nothing is downloaded"
        where = "set ZAPBENCH_DATA or bind torchvision_dataset.root where it is elsewhere"
        raise ValueError(f"{dataset} cannot be read from {folder}: {reason}{offline}; {where}") from None


def _stamps(folder: Path) -> str:
    """Returns a hash of the names, sizes and times of all files in a folder."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            stat = os.stat(os.path.join(place, name))
            found.append((os.path.relpath(os.path.join(place, name), folder), stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256(repr(sorted(found)).encode("utf-8", "surrogateescape")).hexdigest()


def _write(target: Path, dataset: str, opened: Sequence[Any], size: int, mode: str) -> None:
    """Writes the images of all parts in the form of the cache."""
    count = sum(len(part) for part in opened)
    if not count:
        raise ValueError(f"{dataset} has no images")
    if any(_listed(part) != _listed(opened[0]) for part in opened):
        raise ValueError(f"{dataset}: its parts have different classes under the same numbers; name one of the parts")
    shape = (count, size, size) if mode == "L" else (count, size, size, 3)
    header = np.lib.format.open_memmap(target / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    start = header.offset
    del header  # rows are written, not mapped: a full disk is then an error and not a crash
    labels = np.empty(count, np.int64)
    hashes = np.empty((count, 32), np.uint8)
    places = ((part, index) for part in opened for index in range(len(part)))
    with (target / "pixels.npy").open("r+b") as file:
        file.seek(start)
        for row, (part, index) in enumerate(places):
            image, labels[row] = _item(part, index, dataset)
            original = np.asarray(image.convert(mode))
            content = hashlib.sha256(f"{original.shape}".encode() + original.tobytes())
            hashes[row] = np.frombuffer(content.digest(), np.uint8)
            file.write(_resized(original, size).tobytes())
            if row % CHUNK == 0 or row == count - 1:
                show_progress(f"reading {dataset}", row + 1, count)
    present, own = np.unique(labels, return_inverse=True)  # EMNIST names a class that has no images
    names = _names(opened[0], present.tolist())
    write_facts(target, own, {CLASSES: names, DIGEST: digest(hashes, own)})


def _item(part: Any, index: int, dataset: str) -> tuple[Image.Image, int]:
    """Returns an image and its class."""
    item = part[index]
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise ValueError(f"{dataset} gives {type(item).__name__}s, and not an image with its class")
    label = np.asarray(item[1])
    if label.shape != () or label.dtype.kind not in "iu" or label < 0:
        raise ValueError(f"{dataset}: image {index} has the label {one_line(str(item[1]))[:40]}, and not one class")
    return _image(item[0], dataset), int(label)


def _image(value: Any, dataset: str) -> Image.Image:
    """Returns an image of PIL, from one, or from an array `(height, width[, 3])` or a tensor `(channels, ...)`."""
    if isinstance(value, Image.Image):
        return value
    array = np.asarray(value)
    if not isinstance(value, np.ndarray) and array.ndim == 3:
        array = np.moveaxis(array, 0, 2)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.dtype.kind == "f":
        array = (255 * array.clip(0, 1)).round().astype(np.uint8)
    if array.dtype != np.uint8 or array.shape[2:] not in ((), (3,)) or array.ndim < 2:
        raise ValueError(f"{dataset} gives images of {array.dtype} {array.shape}; allowed: grey or RGB")
    return Image.fromarray(array)


def _resized(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))


def _listed(part: Any) -> list[list[str]]:
    """Returns the classes that a part lists; `Omniglot` of torchvision has characters instead."""
    return [[*map(str, getattr(part, name, None) or ())] for name in ("classes", "_characters")]


def _names(part: Any, present: Sequence[int]) -> list[str]:
    """Returns the names of classes: the library's, where it has a different one for each, else their numbers."""
    known = getattr(part, "classes", None)
    if isinstance(known, list | tuple) and max(present) < len(known):
        names = [one_line(str(known[label])) for label in present]
        if len(set(names)) == len(names) and all(names):
            return names
    return [str(label) for label in present]
