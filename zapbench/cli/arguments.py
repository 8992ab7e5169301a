"""Functions that commands share: adding a command to the parser, and the options of commands that train."""

import argparse
import shlex
import sys
from pathlib import Path


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    """Adds a command with a one-line description and an example, and returns its parser."""
    return commands.add_parser(
        name,
        help=description,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_training_options(command: argparse.ArgumentParser) -> None:
    """Adds the options of every command that trains."""
    command.add_argument(
        "-p",
        dest="bindings",
        action="append",
        default=[],
        metavar="BINDING",
        help="a gin binding, for example 'ASB.inner_lr = 0.03'; may be repeated",
    )
    command.add_argument("--out", type=Path, default=Path("runs"), help="output folder (default: runs)")
    command.add_argument("--threads", type=int, help="threads per process (default: 1, or the suite's `cpus`)")


def command_line() -> str:
    """Returns the command that this process was started with, as one would type it."""
    return shlex.join(["zapbench", *sys.argv[1:]])
