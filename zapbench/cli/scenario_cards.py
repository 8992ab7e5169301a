"""Scenario cards as Markdown: what a data set is, and the sizes of the scenarios on it as the code itself has them."""

import ast
import inspect
from typing import Any

import gin

from zapbench import config
from zapbench.experiment.registry import register_everything
from zapbench.scenarios.catalog import CATALOG, DataSet

HEAD = """# Scenarios

What each data set is, and the sizes of the shipped scenarios on it. This page is printed by `zapbench data card`; a
test compares the two. `zapbench data show SCENARIO --out sheet.png` draws a sheet of a scenario's images from what is
at hand. Addresses and md5s are those in the authors', torchvision's or Avalanche's code; none was tried from here, and
a download that is not what it should be is refused by its md5.

"""
TAIL = """## Your own images

A folder (or .zip archive) `ROOT/CLASS/*.png`, `*.jpg` is a scenario by one .gin file:

    # Letters that I photographed
    import zapbench.models
    import zapbench.scenarios.image_folder

    run.scenario = @image_folder()
    image_folder.root = "~/letters"
    image_folder.name = "letters"
    image_folder.pretrain = 40
    image_folder.selection = 10
    image_folder.size = 32
    MODEL = @convnet
    convnet.filters = 32

with `K`, `R` and the other macros of `gin/scenarios/omniglot_small.gin`. `pretrain`, `selection` and `transfer` are
each a number of classes (drawn once for the name), a list of their names, or a text file of them; what is left is for
reported trials. Then `zapbench run letters.gin asb_zap`.

## Streams alone

Every scenario gives Avalanche benchmarks without the rest of zapbench:

    from zapbench.scenarios.omniglot import omniglot

    benchmark = omniglot().transfer_stream(seed=0)

`benchmark.train_stream` has one class an experience, in the trial's order, and `benchmark.test_stream` its held-out
images. `classes_per_experience=10` learns ten at once, `classes_per_experience=None` all (i.i.d.);
`validation_images=3` sets three of the images trained on aside as `benchmark.valid_stream`. `pretraining_stream` gives
the pre-training classes in the same forms.
"""
PICTURES = {"glyphs": "glyphs.png"}
"""Sheets that may be distributed; of the other data sets people draw their own."""

NETWORK = ("convnet.filters", "convnet.blocks", "K", "R", "ASB_EPISODES", "META_EPISODES", "IID_EPOCHS", "ZAP_EVERY")


def all_cards() -> str:
    """Returns the whole page."""
    return HEAD + "".join(card(about) + "\n" for about in CATALOG.values()) + TAIL


def card(about: DataSet) -> str:
    """Returns one data set's card."""
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
            facts["Get it"] += " (a run fetches it by itself)"
    for archive in about.archives:
        facts[f"`{archive.name}`"] = f"<{archive.url}>, md5 `{archive.md5}`"
    for digest, what in about.pixels:
        facts[f"Pixels, {what}"] = f"`{digest}`"
    facts["Tried on"] = about.at_hand
    lines = [f"## {about.title}", "", f"Version {about.version}.", ""]
    lines += [f"- **{name}**: {text}" for name, text in facts.items()]
    picture = [f"![A sheet of {about.title}]({PICTURES[about.name]})", ""] if about.name in PICTURES else []
    return "\n".join([*lines, "", *picture, *_table(about.scenarios), ""])


def _table(scenarios: tuple[str, ...]) -> list[str]:
    columns = {name: sizes_of(name) for name in scenarios}
    rows = list(dict.fromkeys(row for sizes in columns.values() for row in sizes))
    head = f"| | {' | '.join(f'`{name}`' for name in columns)} |"
    body = [f"| `{row}` | {' | '.join(str(sizes.get(row, '')) for sizes in columns.values())} |" for row in rows]
    return [head, "| --- |" + " --- |" * len(columns), *body]


def sizes_of(scenario: str) -> dict[str, Any]:
    """Returns the sizes of a shipped scenario and of its training, from its function's defaults and its file."""
    register_everything()
    bound = config.bindings_of("scenarios", scenario)
    name = bound["run.scenario"].strip("@()").rsplit(".", 1)[-1]
    function = gin.config._REGISTRY.get_match(name).wrapped
    sizes = {
        p.name: p.default for p in inspect.signature(function).parameters.values() if p.name not in ("name", "size")
    }
    sizes = {"size": inspect.signature(function).parameters["size"].default} | sizes
    own = {key.split(".", 1)[1]: ast.literal_eval(text) for key, text in bound.items() if key.startswith(f"{name}.")}
    sizes |= {key: value for key, value in own.items() if key != "name"}
    return sizes | {key: ast.literal_eval(bound[key]) for key in NETWORK if key in bound}
