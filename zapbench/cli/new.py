"""`zapbench new`: writes a small working package for a new strategy."""

import argparse
from pathlib import Path

from zapbench.cli.arguments import add_command


def add_new(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench new strategy my_idea && cd my_idea && zapbench run glyphs my_idea.gin"
    command = add_command(commands, "new", "write a small working package for your own strategy", example)
    command.add_argument("kind", choices=["strategy"])
    command.add_argument("name", metavar="NAME", help="the package's name, in lower case")
    command.add_argument(
        "--in", dest="folder", type=Path, default=Path(), help="folder to write it into (default: the current one)"
    )
    command.set_defaults(command=_new)


def _new(options: argparse.Namespace) -> int:
    from zapbench.cli.new_strategy import new_strategy

    files = new_strategy(options.name, options.folder)
    print(*(f"  {path}" for path in files), sep="\n")
    print(f"try it:  cd {files[0].parent} && zapbench check {files[0].name} && zapbench run glyphs {files[0].name}")
    return 0
