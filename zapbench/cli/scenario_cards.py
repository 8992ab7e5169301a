"""Scenario cards as Markdown: each data set, and the sizes of its scenarios, taken from the code."""

import ast
import inspect
from typing import Any

import gin

from zapbench import config
from zapbench.experiment.root import register_everything
from zapbench.scenarios.catalog import CATALOG
from zapbench.scenarios.data_set import DataSet

HEAD = """# Scenarios

Each data set, and the sizes of the shipped scenarios on it. `zapbench data card` prints this page; a test compares
the two. `zapbench data show SCENARIO --out sheet.png` draws a contact sheet of a scenario's images from your copy of
the data. Addresses and md5s are those in the code of the authors, torchvision or Avalanche. No download was tested;
one that differs is refused by its md5.

"""
TAIL = """## Your own images

A folder (or .zip archive) `ROOT/CLASS/*.png`, `*.jpg` is a scenario by one .gin file:

    # Letters that I photographed
    run.scenario = @image_folder()
    image_folder.root = "~/letters"
    image_folder.name = "letters"
    image_folder.pretrain = 40
    image_folder.selection = 10
    image_folder.size = 32
    MODEL = @convnet
    convnet.filters = 32

with `K`, `R` and the other macros of `gin/scenarios/omniglot_small.gin`. `pretrain`, `selection` and `transfer` are
each a number of classes (drawn once from the name), a list of class names, or a text file with one class name per
line; the remaining classes are for reported trials. Then `zapbench run letters.gin asb_zap`.

What is read, and what is an error in one line:

- Only PNG and JPEG files. Images in other formats, folders without an image, and images outside of a class's folder are
  errors; hidden files and folders and those of systems (`__MACOSX`, `@eaDir`) are skipped; links are followed.
- `image_folder.levels = 2` makes each `ALPHABET/CHARACTER` folder a class; nested folders without it are an error.
- Photographs are turned upright by their EXIF orientation. 16-bit images are scaled to 8 bits. Transparent pixels show
  `image_folder.ground`, a grey level, white (255) by default. Of several pictures in a file the first is read.
- An image that has one colour in all pixels, or that is there twice, is an error: the same image could be trained on
  and held out. `image_folder.distinct = False` allows both.

## Data sets of torchvision and Avalanche

`torchvision_dataset` makes a scenario of any of their data sets whose images have one class each, by the name of its
class in `torchvision.datasets` or `avalanche.benchmarks.datasets`; `gin/scenarios/cifar100.gin` is an example:

    # Letters of EMNIST
    run.scenario = @torchvision_dataset()
    torchvision_dataset.dataset = "EMNIST"
    torchvision_dataset.parts = ({"split": "letters", "train": True}, {"split": "letters", "train": False})
    torchvision_dataset.name = "emnist_letters"
    torchvision_dataset.pretrain = 13
    torchvision_dataset.selection = 5
    torchvision_dataset.size = 28
    torchvision_dataset.colour = False

and a network and macros as above. Classes are split as those of an image folder; `zapbench data show` says the split in
words. `parts` are the library's own arguments; without them a data set with an argument `train` is read in both parts,
which are put together. Files are looked for in `$ZAPBENCH_DATA/emnist` or `torchvision_dataset.root`, and downloaded by
the library where it can. Its code reads them: torchvision compares CIFAR's pickles with their md5 before it opens them;
of other data sets use only files whose source you trust.

## Avalanche benchmarks

Every scenario gives Avalanche benchmarks that work without the rest of zapbench:

    from zapbench.scenarios.omniglot import omniglot

    benchmark = omniglot().transfer_stream(seed=0)

Each experience of `benchmark.train_stream` has one class, in the order of the trial; `benchmark.test_stream` has the
held-out images. With `classes_per_experience=10` an experience has ten classes, with `None` all of them (i.i.d.);
`validation_images=3` moves three of the training images of each class to `benchmark.valid_stream`. `pretraining_stream`
gives the pre-training classes in the same way.
"""
PICTURES = {"glyphs": "glyphs.png"}
"""Contact sheets that may be distributed."""

NO_SIZES = ("name", "size", "dataset", "root", "parts", "mean", "std", "version")
"""Parameters of a scenario's function without a row in the table (`size` is in its first row)."""

NETWORK = ("convnet.filters", "convnet.blocks", "K", "R", "ASB_EPISODES", "META_EPISODES", "IID_EPOCHS", "ZAP_EVERY")


def all_cards() -> str:
    """Returns the page of all cards."""
    return HEAD + "".join(card(about) + "\n" for about in CATALOG.values()) + TAIL


def card(about: DataSet) -> str:
    """Returns the card of a data set."""
    facts = {
        "Content": about.content,
        "Classes": about.splits,
        "Read as": about.reading,
        "Licence": about.licence,
        "Cite": about.citation,
        "Source": about.source,
    }
    if about.folder:
        facts["Read from"] = f"`$ZAPBENCH_DATA/{about.folder}/`: " + "; or ".join(
            ", ".join(" or ".join(f"`{name}`" for name in names) for names in layout) for layout in about.layouts
        )
        facts["Get it"] = f"`zapbench data fetch {about.name}`" if about.archives else about.otherwise
        if about.archives and about.otherwise:
            facts["Get it"] += f"; or {about.otherwise}"
        if about.automatic:
            facts["Get it"] += " (a run fetches it automatically)"
    for archive in about.archives:
        facts[f"`{archive.name}`"] = f"<{archive.url}>, md5 `{archive.md5}`"
    for digest, what in about.pixels:
        facts[f"Pixels, {what}"] = f"`{digest}`"
    facts["Tested on"] = about.at_hand
    lines = [f"## {about.title}", "", f"Version {about.version}.", ""]
    lines += [f"- **{name}**: {text}" for name, text in facts.items()]
    picture = [f"![Images of {about.title}]({PICTURES[about.name]})", ""] if about.name in PICTURES else []
    return "\n".join([*lines, "", *picture, *_table(about.scenarios), ""])


def _table(scenarios: tuple[str, ...]) -> list[str]:
    columns = {name: sizes_of(name) for name in scenarios}
    rows = list(dict.fromkeys(row for sizes in columns.values() for row in sizes))
    head = f"| | {' | '.join(f'`{name}`' for name in columns)} |"
    body = [f"| `{row}` | {' | '.join(str(sizes.get(row, '')) for sizes in columns.values())} |" for row in rows]
    return [head, "| --- |" + " --- |" * len(columns), *body]


def sizes_of(scenario: str) -> dict[str, Any]:
    """Returns the sizes of a shipped scenario and of its training, from the defaults of its function and its file."""
    register_everything()
    bound = config.bindings_of("scenarios", scenario)
    name = bound["run.scenario"].strip("@()").rsplit(".", 1)[-1]
    function = gin.config._REGISTRY.get_match(name).wrapped
    sizes = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.name not in NO_SIZES}
    sizes = {"size": inspect.signature(function).parameters["size"].default} | sizes
    own = {key.split(".", 1)[1]: ast.literal_eval(text) for key, text in bound.items() if key.startswith(f"{name}.")}
    sizes |= {key: value for key, value in own.items() if key not in NO_SIZES or key == "size"}
    return sizes | {key: ast.literal_eval(bound[key]) for key in NETWORK if key in bound}
