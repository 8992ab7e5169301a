"""The command `zapbench data`: lists, fetches, verifies, builds and shows data sets."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zapbench.scenarios.data_set import DataSet
    from zapbench.scenarios.scenario import Scenario

EXAMPLES = """examples:
  zapbench data list
  zapbench data fetch omniglot
  zapbench data verify
  zapbench data build omni_image --imagenet ILSVRC2012/train
  zapbench data show omniglot --out sheet.png
"""


def add_data(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommands."""
    what = "list, fetch, verify, build and show data sets"
    command = commands.add_parser(
        "data", help=what, description=what, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = command.add_subparsers(required=True, metavar="WHAT")
    _part(parts, "list", "which data sets are here, which are missing, and where they were looked for", _list)
    _part(parts, "fetch", "download the official archives of a data set", _fetch).add_argument("name", metavar="NAME")
    verify = _part(parts, "verify", "decode data sets again and compare their pixels with known hashes", _verify)
    verify.add_argument("name", metavar="NAME", nargs="?", help="default: every data set that is here")
    build = _part(parts, "build", "build Omni-image from a local ImageNet-1k training folder", _build)
    build.add_argument("name", metavar="NAME", help="omni_image or omni_image_100")
    build.add_argument(
        "--imagenet", type=Path, required=True, metavar="DIR", help="its training folder, with WNID/WNID_N.JPEG"
    )
    build.add_argument("--list", type=Path, metavar="FILE", help="the published list (shipped for omni_image)")
    show = _part(parts, "show", "say how a scenario splits its classes, and draw a sheet of its images", _show)
    show.add_argument("scenario", metavar="SCENARIO", help="a name of `zapbench list`, or a .gin file")
    show.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    show.add_argument("--seed", type=int, default=0, help="pre-training seed of the images shown (default: 0)")
    _part(parts, "card", "print scenario cards as Markdown", _card).add_argument("name", metavar="NAME", nargs="?")


def _part(
    parts: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    command: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    part = parts.add_parser(name, help=what, description=what)
    part.set_defaults(command=command)
    return part


def _list(options: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from zapbench.cli.consoles import output
    from zapbench.scenarios.catalog import CATALOG

    grid = Table(box=None, pad_edge=False)
    for heading in ("data set", "", "size", "licence", "where"):
        grid.add_column(heading, justify="right" if heading == "size" else "left", overflow="fold")
    for name, about in CATALOG.items():
        found = about.find()
        if not about.folder:
            state, size, where = "here", "", "drawn; nothing to fetch"
        elif found is None:
            state, size, where = "missing", "", f"looked for in {about.path}"
        else:
            weight = sum(_weight(path) for path in found) / 1e6
            state, size, where = "here", f"{weight:,.0f} MB", ", ".join(str(path) for path in found)
        grid.add_row(*(Text(cell) for cell in (name, state, size, about.licence, where)))
    output(wide=240).print(grid)
    return 0


def _weight(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(inside.stat().st_size for inside in path.rglob("*") if inside.is_file())


def _fetch(options: argparse.Namespace) -> int:
    from zapbench.scenarios.catalog import data_set
    from zapbench.scenarios.downloads import fetch

    about = data_set(options.name)
    if (found := about.find()) is not None:
        print(f"{about.name} is already here" + (f": {', '.join(map(str, found))}" if found else ""))
        return 0
    print(f"{about.title}: {about.licence}; {about.source}", file=sys.stderr)
    for path in fetch(about):
        print(path)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from zapbench.scenarios.catalog import CATALOG, data_set

    if options.name:
        about = data_set(options.name)
        if not about.folder:
            print(f"{about.name} is drawn; there is nothing to verify")
            return 0
        if about.find() is None:
            raise ValueError(about.missing())
        print(_verdict(about))
        return 0
    wrong = 0
    for about in CATALOG.values():
        if not about.folder:
            continue  # drawn: it has no files
        try:
            print(f"{about.name}: missing" if about.find() is None else _verdict(about))
        except ValueError as error:
            wrong += 1
            print(f"zapbench: {error}", file=sys.stderr)
    return 1 if wrong else 0


def _verdict(about: "DataSet") -> str:
    """Decodes a data set again; returns a sentence about its content and its archives."""
    from zapbench.scenarios.cache import forget
    from zapbench.scenarios.downloads import checksum

    official = {archive.name: archive.md5 for archive in about.archives}
    archives = []
    for path in about.find() or ():
        if path.name in official and path.is_file():
            same = checksum(path) == official[path.name]
            archives.append(f"{path.name} is {'the official archive' if same else 'not the official archive'}")
    forget(about.name)
    images = about.load()
    known = dict(about.pixels).get(images.digest)
    content = f"the pixels are {known}" if known else f"no known content (pixels {images.digest[:12]})"
    counts = f"{len(images.labels):,} images of {len(images.classes):,} classes"
    return "; ".join([f"{about.name}: {counts}", content, *archives])


def _build(options: argparse.Namespace) -> int:
    from zapbench.scenarios import omni_image
    from zapbench.scenarios.catalog import data_set

    counts = {"omni_image": 20, "omni_image_100": 100}
    name = data_set(options.name).name
    if name not in counts:
        raise ValueError(f"{name} cannot be built; allowed: {', '.join(counts)}")
    if not options.imagenet.is_dir():
        raise ValueError(f"--imagenet: there is no folder {options.imagenet}")
    if options.list is not None and not options.list.is_file():
        raise ValueError(f"--list: there is no file {options.list}")
    print(omni_image.build(options.imagenet, images_per_class=counts[name], listing=options.list))
    return 0


def _show(options: argparse.Namespace) -> int:
    from zapbench.scenarios.contact_sheet import draw

    if options.out.suffix.lower() != ".png":
        raise ValueError(f"--out is {options.out}; allowed: a file that ends in .png")
    scenario = scenario_of(options.scenario)
    draw(scenario, options.out, seed=options.seed)
    print(scenario.in_words())
    print(options.out)
    return 0


def scenario_of(name: str) -> "Scenario":
    """Returns the scenario that a configuration binds.

    Raises:
        ValueError: there is no such configuration, or it is wrong.
    """
    import gin

    from zapbench import config
    from zapbench.experiment.root import register_everything

    path = config.find("scenarios", name)
    register_everything()
    gin.clear_config()
    try:
        with gin.unlock_config():
            gin.parse_config(config.read_text(path))
        scenario: Scenario = gin.query_parameter("run.scenario").scoped_configurable_fn()
    except config.GIN_ERRORS as error:
        raise ValueError(config.explain(error)) from None
    finally:
        gin.clear_config()
    return scenario


def _card(options: argparse.Namespace) -> int:
    from zapbench.cli.scenario_cards import all_cards, card
    from zapbench.scenarios.catalog import data_set

    sys.stdout.write(card(data_set(options.name)) if options.name else all_cards())
    return 0
