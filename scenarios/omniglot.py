"""Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): 1,623 hand-written characters, 20 images each.

Read from the official layout `images_{background,evaluation}/ALPHABET/characterNN/CCCC_DD.png`, folders or archives,
under `$ZAPBENCH_DATA/omniglot-py`. The 964 background classes are for pre-training, the 659 evaluation classes for
transfer. One-bit images become "L" and 28x28 (Lanczos); paper is 1, ink 0; no mean or standard deviation.
"""

import functools
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import gin
import numpy as np
import platformdirs
from PIL import Image, UnidentifiedImageError

from zapbench.scenarios.cache import cached, digest
from zapbench.scenarios.scenario import Images, Scenario
from zapbench.seeding import numpy_generator

PARTS = ("background", "evaluation")
IMAGES_A_CLASS = 20


@gin.register
def omniglot(
    *,
    name: str = "omniglot",
    size: int = 28,
    pretrain_classes: int = 964,
    selection_classes: int = 59,
    classes_a_trial: int = 600,
    classes_a_selection_trial: int = 59,
    pretrain_images: int = 15,
    validation_images: int = 5,
    images_trained_on: int = 15,
    images_held_out: int = 5,
    outputs: int = 1000,
    draws: Literal["nested", "crossed"] = "nested",
) -> Scenario:
    """Returns Omniglot under the paper's protocol; see `Scenario` for the sizes.

    Which classes a smaller `pretrain_classes` takes, and which evaluation classes are set aside for selection, is
    drawn once for the version: the same for every seed.

    Args:
        name: the scenario's name.
        size: height and width that the network sees, in pixels.
        pretrain_classes: classes to pre-train on, of the 964 background classes.
        selection_classes: evaluation classes set aside for selection trials; 0 leaves all 659 to the reported ones.
        classes_a_trial: classes a reported trial.
        classes_a_selection_trial: classes a selection trial.
        pretrain_images: images a class to pre-train on.
        validation_images: images a class for validation accuracy.
        images_trained_on: images a class that transfer trains on.
        images_held_out: images a class that transfer is measured on.
        outputs: outputs of the head, in pre-training and in transfer.
        draws: `nested` or `crossed`; see `Scenario`.
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
        version=1,
        images=images,
        pretrain_classes=tuple(sorted(int(c) for c in pretrain)),
        report_pool=tuple(sorted(set(evaluation) - {int(c) for c in aside})),
        select_pool=tuple(sorted(int(c) for c in aside)),
        classes_a_trial=classes_a_trial,
        classes_a_selection_trial=classes_a_selection_trial,
        pretrain_images=pretrain_images,
        validation_images=validation_images,
        images_trained_on=images_trained_on,
        images_held_out=images_held_out,
        pretrain_outputs=outputs,
        transfer_outputs=outputs,
        draws=draws,
    )


def data_folder() -> Path:
    """Returns `$ZAPBENCH_DATA/omniglot-py`, or the same under the platform's cache folder."""
    root = os.environ.get("ZAPBENCH_DATA") or Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "data"
    return Path(root) / "omniglot-py"


def load(size: int) -> Images:
    """Returns all 32,460 images, decoded or from the cache.

    Raises:
        ValueError: the data are missing, incomplete or corrupt.
    """
    return _load(size, data_folder())


@functools.lru_cache(maxsize=2)
def _load(size: int, folder: Path) -> Images:
    sources = [_source(part, folder) for part in PARTS]
    key = {"size": size, "content": [_content(source) for source in sources], "version": 1}
    return cached("omniglot", key, lambda: decode(sources, size))


def decode(sources: list[Path], size: int) -> Images:
    """Decodes the two parts, classes and images sorted by name."""
    files: dict[str, list[tuple[str, bytes]]] = {}
    for part, source in zip(PARTS, sources):
        for path, content in _read(source):
            _, alphabet, character, image = path.split("/")
            files.setdefault(f"{part}/{alphabet}/{character}", []).append((image, content))
    expected = {"background": 964, "evaluation": 659}
    for part in PARTS:
        found = sum(1 for c in files if c.startswith(part))
        if found != expected[part]:
            raise ValueError(f"omniglot: {found} classes in images_{part}, and there should be {expected[part]}")
    names = sorted(files)
    for c in names:
        if len(files[c]) != IMAGES_A_CLASS:
            raise ValueError(f"omniglot: {len(files[c])} images in {c}, and there should be {IMAGES_A_CLASS}")
    ordered = [(c, image, content) for c in names for image, content in sorted(files[c])]
    with ThreadPoolExecutor() as threads:
        pairs = list(threads.map(lambda item: _decode_one(item, size), ordered))
    labels = np.repeat(np.arange(len(names)), IMAGES_A_CLASS)
    return Images(
        pixels=np.stack([small for _, small in pairs]),
        labels=labels,
        classes=tuple(names),
        digest=digest(np.stack([original for original, _ in pairs]), labels),
    )


def _decode_one(
    item: tuple[str, str, bytes], size: int
) -> tuple["np.typing.NDArray[np.uint8]", "np.typing.NDArray[np.uint8]"]:
    class_name, image_name, content = item
    try:
        image = Image.open(io.BytesIO(content)).convert("L")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"omniglot: {class_name}/{image_name} is not a readable image ({error})") from None
    return np.asarray(image), np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def _source(part: str, folder: Path) -> Path:
    for candidate in (folder / f"images_{part}", folder / f"images_{part}.zip"):
        if candidate.exists():
            return candidate
    raise ValueError(
        f"omniglot: neither images_{part}/ nor images_{part}.zip in {folder}; "
        "set ZAPBENCH_DATA to the folder that holds omniglot-py"
    )


def _content(source: Path) -> list[tuple[str, int, int]]:
    """Returns what identifies a source without decoding it: names, sizes, and CRCs or times."""
    if source.is_dir():
        found = ((p, p.stat()) for p in sorted(source.glob("*/*/*.png")))
        return [(p.relative_to(source).as_posix(), s.st_size, s.st_mtime_ns) for p, s in found]
    with _archive(source) as archive:
        return [(i.filename, i.file_size, i.CRC) for i in archive.infolist() if i.filename.endswith(".png")]


def _read(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yields `images_PART/ALPHABET/characterNN/NAME.png` and its bytes."""
    if source.is_dir():
        for path in sorted(source.glob("*/*/*.png")):
            yield f"{source.name}/{path.relative_to(source).as_posix()}", path.read_bytes()
        return
    with _archive(source) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".png") and name.count("/") == 3:
                try:
                    yield name, archive.read(name)
                except (zipfile.BadZipFile, zlib.error, OSError) as error:
                    raise ValueError(f"omniglot: {source} is damaged at {name} ({error})") from None


def _archive(source: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"omniglot: {source} is not a readable archive ({error})") from None
