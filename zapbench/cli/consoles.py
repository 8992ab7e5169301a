"""Where commands print: a terminal, or a file or pipe, which has no width of its own."""

import os

from rich.console import Console

WIDE = 200
"""Columns where the output is not a terminal and `COLUMNS` is not set, so that no column of a table is dropped."""


def output(wide: int = WIDE) -> Console:
    """Returns a console on standard output, as wide as the terminal or `COLUMNS`, else `wide`."""
    console = Console()
    return console if console.is_terminal or os.environ.get("COLUMNS", "").isdigit() else Console(width=wide)
