"""Functions that commands share: adding a command to the parser, and the options of commands that train."""

import argparse
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from zapbench.launchers.cpus import cores
from zapbench.text import UNPRINTABLE

MOST_THREADS = 1024
MOST_JOBS = 1024


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that begins with `zapbench:`, and that refuses an option given twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def error(self, message: str) -> NoReturn:
        """Prints the error and exits with status 2."""
        one = re.sub(r"^argument (?:-\w, *)?(?:-p/)?([^\s:]+):", r"\1", " ".join(message.split()))
        self.exit(2, f"zapbench: {one}; see {self.prog} --help\n")


class _Once(argparse.Action):
    """Stores a value; `-p` alone may be given repeatedly, and has its own action."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        given = namespace.__dict__.setdefault("_given", set())
        if option is not None and self.dest in given:
            raise argparse.ArgumentError(self, "is given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def number(least: int, most: int) -> Callable[[str], int]:
    """Returns an argument type: a whole number in a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        if value > most:
            raise argparse.ArgumentTypeError(f"must be at most {most:,}, got {value:,}")
        return value

    return parse


def printable(text: str) -> str:
    """An argument type: a text in which every character can be printed."""
    if UNPRINTABLE.search(text) or any(mark in text for mark in "\n\r\t"):
        raise argparse.ArgumentTypeError(f"holds a character that cannot be printed: {text!r}")
    return text


def folder(text: str) -> Path:
    """An argument type: the path of a folder, which may not be there yet."""
    path = Path(printable(text))
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file")
    return path


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


def add_training_options(command: argparse.ArgumentParser, out: str = "runs") -> None:
    """Adds the options of every command that trains; `out` says what the default of --out is."""
    command.add_argument(
        "-p",
        dest="bindings",
        action="append",
        default=[],
        metavar="BINDING",
        help="a gin binding, for example 'ASB.inner_lr = 0.03'; may be repeated",
    )
    command.add_argument("--out", type=folder, default=Path("runs"), help=f"output folder (default: {out})")
    command.add_argument(
        "--threads", type=number(1, MOST_THREADS), help="threads per process (default: 1, or the suite's `cpus`)"
    )


def command_line() -> str:
    """Returns the command that this process was started with, as one would type it."""
    return shlex.join(["zapbench", *sys.argv[1:]])


def note_oversubscription(processes: int, threads: int) -> None:
    """Says on standard error where processes take more cores than there are: slower, and not wrong."""
    if processes * threads > cores():
        what = f"{processes} processes of {threads} threads" if processes > 1 else f"{threads} threads"
        print(f"zapbench: {what} on {cores()} cores", file=sys.stderr)
