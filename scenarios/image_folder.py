"""A person's own images as a scenario: `root/CLASS/*.{png,jpg}`, with a split by number or by list.

# mine.gin
import zapbench.scenarios.image_folder

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
from typing import Literal

import gin

from zapbench.scenarios.decode import Reading, decoded
from zapbench.scenarios.image_files import by_class, image_files
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized
from zapbench.seeding import numpy_generator
from zapbench.text import nearest

Classes = int | str | Sequence[str]
"""How many classes, which (a list of names), or a text file with their names."""


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
    size: int = 84,
    colour: bool = True,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    outputs: int = 0,
    version: int = 1,
) -> Scenario:
    """Returns the scenario of an image folder.

    Classes given by number are drawn once for the name and version, of those that no list names.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter. 0 classes a trial are all there are.
        root: the folder (or .zip archive) of the classes' folders.
        name: the scenario's name.
        pretrain: classes to pre-train on: how many, which, or a text file that says which.
        selection: the same of classes for selection trials.
        transfer: the same of classes for reported trials; 0 for all that are left.
        size: height and width that the network sees, in pixels; other sizes are changed (Lanczos).
        colour: whether images are read as RGB, else as grey.
        mean: a channel's mean, () for none.
        std: a channel's standard deviation, () for none.
        outputs: outputs of the head, in pre-training and in transfer; 0 for as many as there are classes.
        version: raise it when anything changes that decides a score.
    """
    images = _load(name, Path(root).expanduser(), size, "RGB" if colour else "L")
    wanted = {"pretrain": pretrain, "selection": selection, "transfer": transfer}
    pools = split(name, images.classes, wanted, version)
    report, select = pools["transfer"], pools["selection"]
    sizes = replace(
        sizes,
        classes_per_trial=sizes.classes_per_trial or len(report),
        classes_per_selection_trial=sizes.classes_per_selection_trial or len(select) or len(report),
    )
    whole = outputs or max(len(pools["pretrain"]), len(report) + len(select))
    return Scenario(
        name=name,
        version=version,
        images=images,
        pretrain_classes=pools["pretrain"],
        report_pool=report,
        select_pool=select,
        pretrain_outputs=whole,
        transfer_outputs=whole,
        mean=tuple(mean),
        std=tuple(std),
        **vars(sizes),
    )


def split(name: str, classes: Sequence[str], wanted: dict[str, Classes], version: int) -> dict[str, tuple[int, ...]]:
    """Returns the classes of each pool.

    Args:
        name: the scenario's name.
        classes: all classes' names.
        wanted: pool -> how many, which, or a text file that says which; a last pool of 0 takes all that are left.
        version: of the scenario.

    Raises:
        ValueError: an unknown class, or more than there are.
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
                raise ValueError(f"{name}: {pool} is {count}, and {len(order)} of {len(classes)} classes are left")
            pools[pool], order = tuple(sorted(order[:taken])), order[taken:]
    return pools


def _names(name: str, pool: str, value: str | Sequence[str]) -> Sequence[str]:
    if not isinstance(value, str):
        return value
    path = Path(value).expanduser()
    if not path.is_file():
        raise ValueError(f"{name}: {pool} is {value!r}; allowed: a number, a list of classes, or a text file of them")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _load(name: str, root: Path, size: int, mode: Literal["L", "RGB"]) -> Images:
    if not root.exists():
        raise ValueError(f"{name}: there is no folder {root}")
    return _decoded(name, Path(os.path.realpath(root)), size, mode)


@functools.lru_cache(maxsize=2)
def _decoded(name: str, root: Path, size: int, mode: Literal["L", "RGB"]) -> Images:
    files = by_class(image_files(root), 1)
    if not files:
        raise ValueError(f"{name}: no CLASS/*.png or CLASS/*.jpg in {root}")
    return decoded("image_folder", files, Reading(mode=mode, size=size))
