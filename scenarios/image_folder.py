"""A person's own images as a scenario: `root/CLASS/*.{png,jpg,jpeg}`, with classes split by number or by list.

# mine.gin
run.scenario = @image_folder()
image_folder.root = "~/letters"
image_folder.name = "letters"
image_folder.pretrain = 40
image_folder.selection = 10
image_folder.size = 32
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gin

from zapbench.scenarios.class_folders import classes_of
from zapbench.scenarios.class_lists import lines_of
from zapbench.scenarios.decode import NotDistinct, Reading, decoded
from zapbench.scenarios.image_files import ImageFile
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized
from zapbench.seeding import numpy_generator
from zapbench.text import nearest

Classes = int | str | Sequence[str]
"""How many classes, a list of their names, or a text file with one name per line."""


@gin.register
@sized(
    classes_per_trial=0,
    classes_per_selection_trial=0,
    pretrain_images=15,
    validation_images=5,
    images_trained_on=15,
    images_held_out=5,
)
def image_folder(
    *,
    sizes: Sizes,
    root: str = gin.REQUIRED,
    name: str = gin.REQUIRED,
    pretrain: Classes = gin.REQUIRED,
    selection: Classes = 0,
    transfer: Classes = 0,
    levels: int = 1,
    size: int = 84,
    colour: bool = True,
    ground: int = 255,
    distinct: bool = True,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    outputs: int = 0,
    version: int = 1,
) -> Scenario:
    """Returns the scenario of an image folder.

    Classes given by number are drawn once per name and version, of those that no list names. Hidden folders and those
    of systems (`__MACOSX`, say) are skipped, links are followed, photographs are turned upright by their EXIF
    orientation, and 16-bit images are scaled to 8 bits.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter. 0 classes per trial are all there are.
        root: the folder (or .zip archive) of the classes' folders.
        name: the scenario's name.
        pretrain: classes to pre-train on: how many, which, or a text file that lists them.
        selection: the same for selection trials.
        transfer: the same for reported trials; 0 for all that remain.
        levels: folders that make a class: 1 for `CLASS/*.png`, 2 for `ALPHABET/CHARACTER/*.png`.
        size: height and width of the network's input, in pixels; other sizes are resized (Lanczos).
        colour: whether images are read as RGB, else as grey.
        ground: grey level behind transparent pixels, 0 (black) to 255 (white).
        distinct: whether an image that has one colour in all pixels, or that occurs twice, is an error.
        mean: mean of each channel, () for 0.
        std: standard deviation of each channel, () for 1.
        outputs: outputs of the head, in pre-training and in transfer; 0 for as many as there are classes.
        version: to be raised with any change that changes a score.
    """
    reading = Reading(mode="RGB" if colour else "L", size=size, ground=ground, distinct=distinct)
    images = _load(name, Path(root).expanduser(), levels, reading)
    pools = split(name, images.classes, {"pretrain": pretrain, "selection": selection, "transfer": transfer}, version)
    report, select = pools["transfer"], pools["selection"]
    sizes = replace(
        sizes,
        classes_per_trial=sizes.classes_per_trial or len(report),
        classes_per_selection_trial=sizes.classes_per_selection_trial or len(select) or len(report),
    )
    outputs = outputs or max(len(pools["pretrain"]), len(report) + len(select))
    return Scenario(
        name=name,
        version=version,
        images=images,
        pretrain_classes=pools["pretrain"],
        report_pool=report,
        select_pool=select,
        pretrain_outputs=outputs,
        transfer_outputs=outputs,
        mean=tuple(mean),
        std=tuple(std),
        **vars(sizes),
    )


def split(name: str, classes: Sequence[str], wanted: dict[str, Classes], version: int) -> dict[str, tuple[int, ...]]:
    """Returns the classes of each pool.

    Args:
        name: the scenario's name.
        classes: the names of all classes.
        wanted: pool -> how many, which, or a text file that lists them; a last pool of 0 takes all that remain.
        version: of the scenario.

    Raises:
        ValueError: a class is unknown or listed twice, or there are fewer than wanted.
    """
    place = {c: i for i, c in enumerate(classes)}
    listed = {pool: _names(name, pool, value) for pool, value in wanted.items() if not isinstance(value, int)}
    for pool, names in listed.items():
        for c in names:
            if c not in place:
                raise ValueError(f"{name}: {pool} names the class {c!r}, and there is none{nearest(c, classes)}")
    pools = {pool: tuple(sorted(place[c] for c in set(names))) for pool, names in listed.items()}
    free = sorted(set(range(len(classes))) - {c for own in pools.values() for c in own})
    order = [int(c) for c in numpy_generator("image_folder classes", name, version).permutation(free)]
    *_, last = wanted
    for pool, count in wanted.items():
        if isinstance(count, int):
            taken = len(order) if pool == last and count == 0 else count
            if not 0 <= taken <= len(order):
                raise ValueError(f"{name}: {pool} is {count}, and {len(order)} of {len(classes)} classes remain")
            pools[pool], order = tuple(sorted(order[:taken])), order[taken:]
    return pools


def _names(name: str, pool: str, value: str | Sequence[str]) -> Sequence[str]:
    where = f"{name}: {pool}"
    if isinstance(value, str):
        path = Path(value).expanduser()
        if not path.is_file():
            raise ValueError(f"{where} is {value!r}; allowed: a number, a list of classes, or a text file of them")
        value, where = lines_of(path), f"{where} ({path})"
        if not value:
            raise ValueError(f"{where} lists no class")
    for c in value:
        if list(value).count(c) > 1:
            raise ValueError(f"{where} lists the class {c!r} twice")
    return value


def _load(name: str, root: Path, levels: int, reading: Reading) -> Images:
    if not root.exists():
        raise ValueError(f"{name}: there is no folder {root}")
    try:
        files = classes_of(Path(os.path.realpath(root)), levels)
        return _decoded(tuple((c, tuple(own)) for c, own in files.items()), reading)
    except NotDistinct as error:
        raise ValueError(f"{name}: {error}; remove it, or allow it by image_folder.distinct = False") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


@functools.lru_cache(maxsize=2)
def _decoded(files: tuple[tuple[str, tuple[ImageFile, ...]], ...], reading: Reading) -> Images:
    return decoded("image_folder", dict(files), reading)
