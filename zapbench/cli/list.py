"""`zapbench list`: counts scenarios, strategies, transfers and suites and names a few of each, or lists one kind."""

import argparse
import sys

from zapbench.cli.arguments import add_command

FIRST = {
    "scenarios": ("glyphs", "omniglot_small", "tiny_imagenet_small", "omniglot"),
    "strategies": ("iid", "iid_zap", "asb", "asb_zap", "meta_asb", "meta_asb_zap"),
    "transfers": ("sequential", "sequential_unfrozen", "iid", "replay", "ewc"),
    "suites": ("demo", "figure2_small", "figure4_small"),
}
"""The names that the overview shows of each kind."""

MEANING = {
    "scenarios": "data sets with protocol sizes",
    "strategies": "ways to pre-train",
    "transfers": "ways to learn the new classes",
    "suites": "grids of runs",
}


def add_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    what = "list scenarios, strategies, transfers and suites, shipped and of installed packages"
    command = add_command(commands, "list", what, "zapbench list strategies zap")
    command.add_argument(
        "kind", metavar="KIND", nargs="?", choices=[*FIRST], help=f"{', '.join(FIRST)}; without it, a few of each"
    )
    command.add_argument("word", metavar="WORD", nargs="?", help="only names and descriptions that contain this word")
    command.set_defaults(command=_list)


def _list(options: argparse.Namespace) -> int:
    from zapbench import config

    if options.kind is None:
        for kind in FIRST:
            _overview(kind)
    else:
        found = [name for name in config.names(options.kind) if _contains(options.kind, name, options.word or "")]
        if not found:
            raise ValueError(f"no name or description of {options.kind} contains {options.word!r}")
        _print(options.kind, found, whole=True)
    for kind in FIRST if options.kind is None else [options.kind]:
        for problem in config.broken(kind):
            print(f"zapbench: {problem}", file=sys.stderr)
    return 0


def _contains(kind: str, name: str, word: str) -> bool:
    return word.lower() in f"{name} {_summary(kind, name)}".lower()


def _overview(kind: str) -> None:
    """Prints how many configurations of a kind there are, a few of them, and those of installed packages."""
    from rich.text import Text

    from zapbench import config
    from zapbench.cli.consoles import output

    every = config.names(kind)
    shown = [name for name in every if name in FIRST[kind]]
    shown = sorted(shown, key=FIRST[kind].index) + [name for name in every if config.origin(kind, name)]
    console = output()
    console.print(Text.assemble((f"{len(every)} {kind}", "bold"), f": {MEANING[kind]}"), soft_wrap=True)
    _print(kind, shown, whole=False)
    if more := len(every) - len(shown):
        console.print(Text(f"  … and {more} more: zapbench list {kind}", style="dim"))
    console.print()


def _print(kind: str, names: list[str], *, whole: bool) -> None:
    """Prints names and descriptions; a description that is too long continues in the next line, or is cut."""
    from rich.table import Table
    from rich.text import Text

    from zapbench.cli.consoles import output

    console = output()
    width = 2 + max(map(len, names), default=0)
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=width)
    grid.add_column(overflow="fold")
    for name in names:
        summary = Text(_summary(kind, name))
        if not whole:
            summary.truncate(max(20, console.width - width - 2), overflow="ellipsis")
        grid.add_row(Text(f"  {name}"), summary)
    console.print(grid)


def _summary(kind: str, name: str) -> str:
    """Returns the description of a configuration, with the package that it is of, or why it cannot be used."""
    from zapbench import config
    from zapbench.text import one_line

    try:
        package = config.origin(kind, name)
        return one_line(config.summary(kind, name)) + (f" ({package})" if package else "")
    except ValueError as error:
        return f"cannot be used: {error}"
