"""The data sets: where each comes from, its checksums, licence, reference and loader. Data, without torch.

This is the one place where a data set is registered. Its content is identified by the hash of its decoded pixels,
whatever archive or folder they came in; the md5 of an official archive protects its download alone.
"""

from zapbench.scenarios.data_set import Archive, DataSet
from zapbench.text import nearest

IMAGENET_TERMS = "ImageNet's terms of access: non-commercial research and education (https://image-net.org/download)"


def data_set(name: str) -> DataSet:
    """Returns a description by name, in which `-` and `_` are equivalent.

    Raises:
        ValueError: there is none; names the nearest.
    """
    plain = name.replace("-", "_")
    if plain in CATALOG:
        return CATALOG[plain]
    raise ValueError(f"no data set {name!r}{nearest(plain, CATALOG)}; there are: {', '.join(CATALOG)}")


GLYPHS = DataSet(
    name="glyphs",
    loader="zapbench.scenarios.glyphs:load",
    version=1,
    title="Glyphs",
    folder="",
    layouts=((),),
    content="520 letters x 20 images of 105x105, drawn from the twelve DejaVu faces that matplotlib ships",
    splits="283 Latin letters to pre-train on; 148 Cyrillic and Armenian for reported, 89 Greek and Georgian for "
    "selection trials; the typefaces of the held-out images of a draw are never trained on in that draw",
    reading='"L", reduced to 28x28 (Lanczos), in [0, 1], paper = 1; no mean or standard deviation',
    scenarios=("glyphs", "glyphs_small"),
    licence="nothing is distributed: drawn with DejaVu fonts (Bitstream Vera licence)",
    citation="this package",
    source="scenarios/glyphs.py",
    at_hand="all of it",
)

OMNIGLOT = DataSet(
    name="omniglot",
    loader="zapbench.scenarios.omniglot:load",
    version=1,
    title="Omniglot",
    folder="omniglot-py",
    layouts=((("images_background", "images_background.zip"), ("images_evaluation", "images_evaluation.zip")),),
    content="1,623 hand-written characters (964 background, 659 evaluation) x 20 one-bit images of 105x105",
    splits="964 background classes to pre-train on; of the 659 of evaluation 600 for reported, 59 for selection trials "
    "(omniglot_all: 600 of all 659 for each trial)",
    reading='"L", reduced to 28x28 (Lanczos), in [0, 1], paper = 1; no mean or standard deviation',
    scenarios=("omniglot", "omniglot_84", "omniglot_all", "omniglot_small"),
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
    at_hand="all images, in repacked archives; the checksums of the official archives are those in torchvision",
)

MINI_IMAGENET = DataSet(
    name="mini_imagenet",
    loader="zapbench.scenarios.mini_imagenet:load",
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
    otherwise="it has no official archive; make it from ImageNet, or use the three mini-imagenet-cache pickles",
    at_hand="none of it: its formats were tested on other images, and no result on it was reproduced",
)

OMNI_IMAGE = DataSet(
    name="omni_image",
    loader="zapbench.scenarios.omni_image:load",
    version=1,
    title="Omni-image (20 images per class)",
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
    at_hand="its two lists: its formats were tested on other images, and no result on it was reproduced",
)

OMNI_IMAGE_100 = DataSet(
    name="omni_image_100",
    loader="zapbench.scenarios.omni_image:load_100",
    version=1,
    title="Omni-image (100 images per class)",
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
    at_hand="none of it: no result on it was reproduced",
)

TINY_IMAGENET = DataSet(
    name="tiny_imagenet",
    loader="zapbench.scenarios.tiny_imagenet:load",
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
        (
            "89bda912fa0a956c606a21783fda8297d83de670d79b4440db93abfa4f9861d3",
            "the first 130 training images of each class",
        ),
    ),
    at_hand="the first 130 training images of each class; a result on them is a result on that sample",
)

CIFAR100 = DataSet(
    name="cifar100",
    loader="zapbench.scenarios.torchvision_dataset:load_cifar100",
    version=1,
    title="CIFAR-100",
    folder="cifar100",
    layouts=((("cifar-100-python", "cifar-100-python.tar.gz"),),),
    content="100 classes x 600 colour images of 32x32: the official 500 training and 100 test images together",
    splits="50 classes to pre-train on, 30 for reported, 20 for selection trials, drawn once for the version",
    reading="RGB 32x32 (by torchvision), mean (0.5071, 0.4865, 0.4409), standard deviation (0.2673, 0.2564, 0.2762)",
    scenarios=("cifar100",),
    licence="none stated by its authors",
    citation="Krizhevsky: Learning multiple layers of features from tiny images. University of Toronto, 2009",
    source="https://www.cs.toronto.edu/~kriz/cifar.html",
    archives=(
        Archive(
            "cifar-100-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
        ),
    ),
    automatic=True,
    at_hand="none of it: its format was tested on other images, and its settings are those of Mini-ImageNet, untried",
)

CATALOG = {
    description.name: description
    for description in (GLYPHS, OMNIGLOT, MINI_IMAGENET, OMNI_IMAGE, OMNI_IMAGE_100, TINY_IMAGENET, CIFAR100)
}
