"""`zapbench new`: writes a package for a strategy, transfer or scenario, a suite, or a mapping for your logs."""

import argparse
import shlex
from pathlib import Path

from zapbench.cli.arguments import add_command


def add_new(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench new strategy my_idea --like asb"
    what = "write a small working start for your own strategy, transfer, scenario or suite, or a mapping for your logs"
    command = add_command(commands, "new", what, example)
    command.add_argument("kind", choices=["strategy", "suite", *KINDS])
    command.add_argument("name", metavar="NAME", help="its name, in lower case; of a mapping, LOGDIR")
    command.add_argument(
        "--in", dest="folder", type=Path, default=Path(), help="folder to write it into (default: the current one)"
    )
    command.add_argument(
        "--like", metavar="STRATEGY", help="of a strategy: the shipped one that it adds a plug-in to (default: iid)"
    )
    command.add_argument(
        "--of",
        dest="strategies",
        metavar="STRATEGY",
        nargs="+",
        help="of a suite: the strategies that it compares, names or .gin files (default: iid iid_zap)",
    )
    command.set_defaults(command=_new)


def _new(options: argparse.Namespace) -> int:
    if options.like and options.kind != "strategy":
        raise ValueError(f"--like is for a strategy, not for a {options.kind}")
    if options.strategies and options.kind != "suite":
        raise ValueError(f"--of is for a suite, not for a {options.kind}")
    if options.kind == "strategy":
        _strategy(options.name, options.folder, options.like or "iid")
    elif options.kind == "suite":
        _suite(options.name, options.folder, options.strategies or ["iid", "iid_zap"])
    else:
        KINDS[options.kind](options.name, options.folder)
    return 0


def _strategy(name: str, folder: Path, like: str) -> None:
    from zapbench.cli.new_strategy import new_strategy

    _say(new_strategy(name, folder, like=like), "zapbench check {gin}", "zapbench run glyphs {gin}")


def _transfer(name: str, folder: Path) -> None:
    from zapbench.cli.new_transfer import new_transfer

    _say(new_transfer(name, folder), "zapbench check {gin}", "zapbench run glyphs asb --transfer sequential {gin}")


def _scenario(name: str, folder: Path) -> None:
    from zapbench.cli.new_scenario import new_scenario

    _say(new_scenario(name, folder), "zapbench data show {gin} --out sheet.png", "zapbench run {gin} asb_zap")


def _suite(name: str, folder: Path, strategies: list[str]) -> None:
    from zapbench.cli.new_suite import new_suite

    path = new_suite(name, folder, strategies)
    print(f"  {path}")
    for option in (" --dry-run", ""):
        print(f"try it:  zapbench suite {shlex.quote(str(path))}{option}")


def _say(files: list[Path], *commands: str) -> None:
    """Prints the files of a package, the .gin file first, and the commands to try it with."""
    gin, root = files[0], files[0].parent.parent
    print(*(f"  {path}" for path in files), sep="\n")
    print(f"try it:  cd {shlex.quote(str(root))}")
    for command in commands:
        print(f"         {command.format(gin=gin.relative_to(root))}")


def _mapping(name: str, folder: Path) -> None:
    from zapbench.cli.new_mapping import new_mapping

    path, said = new_mapping(Path(name), folder)
    print(f"  {path}", said, sep="\n")
    print(f"try it:  zapbench leaderboard {shlex.quote(name)} --mapping {shlex.quote(str(path))}")


KINDS = {"transfer": _transfer, "scenario": _scenario, "mapping": _mapping}
"""What else can be started -> a function of its name and of the folder to write it into."""
