"""What each data set is: where it comes from, its checksums, class lists, licence and reference. Data, and no torch.

A data set's content is identified by the hash of its decoded pixels, whatever archive or folder it came in; the md5
of an official archive guards its download alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zapbench.scenarios.roots import data_root
from zapbench.text import nearest

LISTS = Path(__file__).parent / "lists"
IMAGENET_TERMS = "ImageNet's terms of access: non-commercial research and education (https://image-net.org/download)"


@dataclass(frozen=True)
class Archive:
    """An official file: its name, address and md5, as its authors', torchvision's or Avalanche's code has them."""

    name: str
    url: str
    md5: str


Layout = tuple[tuple[str, ...], ...]
"""Parts that must all be there; of each part the names under which it may be."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set's description.

    Attributes:
        name: what commands call it.
        version: raised when anything here changes what a scenario sees.
        title: what people call it.
        folder: its folder below the data root.
        layouts: the forms in which it is read; the first that is whole is taken.
        content: classes and images, in words.
        splits: which classes are for what, in words.
        reading: how an image becomes what the network sees, in words.
        scenarios: shipped scenarios on it.
        licence: of the images.
        citation: what to cite.
        source: where it is described.
        archives: official files.
        automatic: whether a run fetches it where it is missing.
        otherwise: how to get it where it cannot be fetched, in words.
        pixels: known hashes of decoded content, and what each is of.
        at_hand: on what of it this package was tried.
    """

    name: str
    version: int
    title: str
    folder: str
    layouts: tuple[Layout, ...]
    content: str
    splits: str
    reading: str
    scenarios: tuple[str, ...]
    licence: str
    citation: str
    source: str
    archives: tuple[Archive, ...] = ()
    automatic: bool = False
    otherwise: str = ""
    pixels: tuple[tuple[str, str], ...] = ()
    at_hand: str

    @property
    def path(self) -> Path:
        """Its folder."""
        return data_root() / self.folder

    def find(self) -> tuple[Path, ...] | None:
        """Returns the parts of the first layout that is whole; None where none is."""
        for layout in self.layouts:
            found = [
                next((self.path / name for name in names if (self.path / name).exists()), None) for names in layout
            ]
            parts = tuple(part for part in found if part is not None)
            if len(parts) == len(layout):
                return parts
        return None

    def missing(self) -> str:
        """Returns in words what was looked for, where, and how to get it."""
        forms = "; or ".join(" and ".join(_either(names) for names in layout) for layout in self.layouts)
        get = f"`zapbench data fetch {self.name}` fetches it" if self.archives else self.otherwise
        return (
            f"{self.name}: there is not {forms} in {self.path}; {get}, or set ZAPBENCH_DATA to the folder that holds "
            f"{self.folder}"
        )


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"({' or '.join(names)})"


def class_list(name: str) -> tuple[str, ...]:
    """Returns a published list: lines of a text file, or a JSON list."""
    text = (LISTS / name).read_text(encoding="utf-8")
    return tuple(json.loads(text) if name.endswith(".json") else text.split())


def check_classes(name: str, found: Sequence[str], published: Sequence[str]) -> None:
    """Refuses classes that are not the published ones.

    Raises:
        ValueError: names the first unknown or missing class.
    """
    unknown, lost = sorted(set(found) - set(published)), sorted(set(published) - set(found))
    if unknown:
        raise ValueError(f"{name}: {unknown[0]!r} is none of its {len(published)} classes ({len(unknown)} unknown)")
    if lost:
        raise ValueError(f"{name}: class {lost[0]!r} is missing ({len(lost)} of {len(published)} are)")


def data_set(name: str) -> DataSet:
    """Returns a description by name (`-` and `_` are one).

    Raises:
        ValueError: there is none; says which is nearest.
    """
    plain = name.replace("-", "_")
    if plain in CATALOG:
        return CATALOG[plain]
    raise ValueError(f"no data set {name!r}{nearest(plain, CATALOG)}; there are: {', '.join(CATALOG)}")


GLYPHS = DataSet(
    name="glyphs",
    version=1,
    title="Glyphs",
    folder="",
    layouts=((),),
    content="520 letters x 20 images of 105x105, drawn from the twelve DejaVu faces that matplotlib ships",
    splits="283 Latin letters to pre-train on; 148 Cyrillic and Armenian for reported, 89 Greek and Georgian for "
    "selection trials; the typefaces of a draw's held-out images are never trained on in it",
    reading='"L", reduced to 28x28 (Lanczos), in [0, 1], paper = 1; no mean or standard deviation',
    scenarios=("glyphs",),
    licence="nothing is distributed: drawn with DejaVu fonts (Bitstream Vera licence)",
    citation="this package",
    source="scenarios/glyphs.py",
    at_hand="all of it",
)

OMNIGLOT = DataSet(
    name="omniglot",
    version=1,
    title="Omniglot",
    folder="omniglot-py",
    layouts=((("images_background", "images_background.zip"), ("images_evaluation", "images_evaluation.zip")),),
    content="1,623 hand-written characters (964 background, 659 evaluation) x 20 one-bit images of 105x105",
    splits="964 background classes to pre-train on; of the 659 of evaluation 600 for reported, 59 for selection trials",
    reading='"L", reduced to 28x28 (Lanczos), in [0, 1], paper = 1; no mean or standard deviation',
    scenarios=("omniglot", "omniglot_84", "omniglot_small"),
    licence="MIT",
    citation=(
        "Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic program induction. "
        "Science 350(6266), 1332-1338, 2015"
    ),
    source="https://github.com/brendenlake/omniglot",
    archives=(
        Archive(
            "images_background.zip",
            "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_background.zip",
            "68d2efa1b9178cc56df9314c21c6e718",
        ),
        Archive(
            "images_evaluation.zip",
            "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_evaluation.zip",
            "6b91aef0f799c5bb55b94e3f2daec811",
        ),
    ),
    automatic=True,
    pixels=(("b2b4e8e09d857a2c58bb2be1f6957cf2995b8fbc5877849f38331240eb78b6b5", "all of Omniglot"),),
    at_hand="all images, in archives packed again: the official archives' checksums are torchvision's",
)

MINI_IMAGENET = DataSet(
    name="mini_imagenet",
    version=1,
    title="Mini-ImageNet",
    folder="mini-imagenet",
    layouts=(
        (
            ("mini-imagenet-cache-train.pkl",),
            ("mini-imagenet-cache-val.pkl",),
            ("mini-imagenet-cache-test.pkl",),
        ),
        (("images", "images.zip"), ("train.csv",), ("val.csv",), ("test.csv",)),
    ),
    content="100 ImageNet classes x 600 colour images of 84x84, split 64 / 16 / 20 by Ravi and Larochelle",
    splits="the 64 training classes to pre-train on, the 20 test classes for reported, the 16 validation classes for "
    "selection trials",
    reading="RGB 84x84 (other sizes: Lanczos), mean (0.485, 0.456, 0.406), standard deviation (0.229, 0.224, 0.225)",
    scenarios=("mini_imagenet",),
    licence=IMAGENET_TERMS,
    citation=(
        "Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching networks for one shot learning. NeurIPS 2016; "
        "split: Ravi, Larochelle: Optimization as a model for few-shot learning. ICLR 2017"
    ),
    source="https://github.com/twitter-research/meta-learning-lstm/tree/master/data/miniImagenet",
    otherwise="it has no official archive: make it from ImageNet, or take the three mini-imagenet-cache pickles",
    at_hand="nothing of it: its formats are tried on other images, and no result of it was reproduced",
)

OMNI_IMAGE = DataSet(
    name="omni_image",
    version=1,
    title="Omni-image (20 images a class)",
    folder="omni-image",
    layouts=((("OmnImage84_20", "OmnImage84_20.zip", "OmnImage84_20_built.zip"),),),
    content="1,000 ImageNet classes x 20 similar colour images of 84x84",
    splits="700 classes to pre-train on; 300 for transfer, the authors' evolved list or drawn by a seed; selection "
    "trials are other draws of the 300",
    reading="RGB 84x84, mean (0.4875, 0.4667, 0.4110), standard deviation (0.2607, 0.2528, 0.2678)",
    scenarios=("omni_image",),
    licence=IMAGENET_TERMS,
    citation="Frati, Traft, Cheney: OmnImage: Evolving 1k image cliques for few-shot learning. GECCO 2023, 476-484",
    source="https://github.com/lfrati/OmnImage",
    archives=(
        Archive("OmnImage84_20.zip", "https://uvm.edu/~lfrati/OmnImage84_20.zip", "30aa0b55fc6b3bccd06aaa6615661ee8"),
    ),
    otherwise="`zapbench data build omni_image --imagenet DIR` builds it",
    at_hand="its two lists alone: its formats are tried on other images, and no result of it was reproduced",
)

OMNI_IMAGE_100 = DataSet(
    name="omni_image_100",
    version=1,
    title="Omni-image (100 images a class)",
    folder="omni-image",
    layouts=((("OmnImage84_100", "OmnImage84_100.zip", "OmnImage84_100_built.zip"),),),
    content="1,000 ImageNet classes x 100 similar colour images of 84x84",
    splits="700 classes to pre-train on; 300 for transfer, the authors' evolved list or drawn by a seed; selection "
    "trials are other draws of the 300",
    reading=OMNI_IMAGE.reading,
    scenarios=("omni_image_100",),
    licence=IMAGENET_TERMS,
    citation=OMNI_IMAGE.citation,
    source=OMNI_IMAGE.source,
    archives=(
        Archive("OmnImage84_100.zip", "https://uvm.edu/~lfrati/OmnImage84_100.zip", "3869650152622568a7356146307c414e"),
    ),
    otherwise="`zapbench data build omni_image_100 --imagenet DIR --list OmnImage_100.txt` builds it",
    at_hand="nothing of it: no result of it was reproduced",
)

TINY_IMAGENET = DataSet(
    name="tiny_imagenet",
    version=1,
    title="Tiny-ImageNet",
    folder="tiny-imagenet",
    layouts=((("tiny-imagenet-200", "tiny-imagenet-200.zip", "tiny-imagenet-200-sample.zip"),),),
    content="200 ImageNet classes x 500 colour training images of 64x64 (its other images are not read)",
    splits="100 classes to pre-train on, 60 for reported, 40 for selection trials, drawn once for the version",
    reading="RGB 64x64 (other sizes: Lanczos), mean (0.485, 0.456, 0.406), standard deviation (0.229, 0.224, 0.225)",
    scenarios=("tiny_imagenet", "tiny_imagenet_small"),
    licence=IMAGENET_TERMS,
    citation="Le, Yang: Tiny ImageNet visual recognition challenge. CS 231N, Stanford, 2015",
    source="http://cs231n.stanford.edu",
    archives=(
        Archive(
            "tiny-imagenet-200.zip",
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            "90528d7ca1a48142e341f4ef8d21d0de",
        ),
    ),
    pixels=(
        ("89bda912fa0a956c606a21783fda8297d83de670d79b4440db93abfa4f9861d3", "the first 130 training images a class"),
    ),
    at_hand="the first 130 training images of each class: a result on them is one of that sample",
)

CATALOG = {
    description.name: description
    for description in (GLYPHS, OMNIGLOT, MINI_IMAGENET, OMNI_IMAGE, OMNI_IMAGE_100, TINY_IMAGENET)
}
