"""What commands share: how one is added to the parser, options of what trains."""

import argparse
import shlex
import sys
from pathlib import Path


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    example: str,
) -> argparse.ArgumentParser:
    """Adds a command with what it does in one line and an example, and returns its parser."""
    return commands.add_parser(
        name,
        help=what,
        description=what,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_training_options(command: argparse.ArgumentParser) -> None:
    """Adds what every command takes that trains."""
    command.add_argument(
        "-p",
        dest="bindings",
        action="append",
        default=[],
        metavar="BINDING",
        help="a gin binding, say 'ASB.inner_lr = 0.03'; may be given often",
    )
    command.add_argument("--out", type=Path, default=Path("runs"), help="output folder (default: runs)")
    command.add_argument("--threads", type=int, help="threads a process (default: 1, or the suite's `cpus`)")


def command_line() -> str:
    """Returns the command that this process was started with, as a person would type it."""
    return shlex.join(["zapbench", *sys.argv[1:]])
