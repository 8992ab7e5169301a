"""What a suite found: the table of its own logs, in words and drawn, beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.leaderboard.read.tabulate import Logs
from zapbench.suites.suite import Suite

if TYPE_CHECKING:
    from zapbench.leaderboard.decide.tables import Table

RESULTS = "results"
"""Folder below the output folder: a folder a suite."""


def write_results(
    suite: Suite, name: str, made: "Sequence[Table]", logs: Logs, out: Path, formats: Sequence[str] = ("svg",)
) -> list[Path]:
    """Writes a suite's tables as Markdown and the figures it asks for, below `out`, and returns their paths.

    Args:
        suite: says which figures.
        name: the suite's.
        made: its tables.
        logs: its own.
        out: the output folder.
        formats: of the figures.
    """
    from zapbench.atomic import write_atomically
    from zapbench.leaderboard.show.figures import write_figures
    from zapbench.leaderboard.show.markdown import to_markdown

    folder = out / RESULTS / name
    table = folder / "table.md"
    write_atomically(table, to_markdown(list(made), logs.problems).encode())
    return [table, *write_figures(made, logs, folder, formats, suite.figures)]
