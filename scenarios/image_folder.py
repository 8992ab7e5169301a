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
from pathlib import Path

import gin

from zapbench.scenarios.class_folders import classes_of
from zapbench.scenarios.class_split import About, Classes, by_classes
from zapbench.scenarios.decode import NotDistinct, Reading, decoded
from zapbench.scenarios.image_files import ImageFile
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized


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
    wanted = {"pretrain": pretrain, "selection": selection, "transfer": transfer}
    about = About(name=name, version=version, mean=tuple(mean), std=tuple(std), outputs=outputs)
    return by_classes(about, images, wanted, sizes)


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
