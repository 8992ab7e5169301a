"""Writes the results of a suite: the tables of its own logs as Markdown, and their figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.leaderboard.read.tabulate import Logs
from zapbench.suites.suite import Suite

if TYPE_CHECKING:
    from zapbench.leaderboard.decide.tables import Table

RESULTS = "results"
"""Folder below the output folder, with one folder per suite."""


def write_results(suite: Suite, name: str, tables: "Sequence[Table]", logs: Logs, out: Path) -> list[Path]:
    """Writes a suite's tables as Markdown and its figures as SVG, below `out`, and returns their paths.

    Args:
        suite: names the figures.
        name: the suite's name.
        tables: its tables.
        logs: its logs, without those of other suites.
        out: the output folder.
    """
    from zapbench.atomic import write_atomically
    from zapbench.leaderboard.show.figures import write_figures
    from zapbench.leaderboard.show.markdown import to_markdown

    folder = out / RESULTS / name
    markdown = folder / "table.md"
    write_atomically(markdown, to_markdown(list(tables), logs.problems).encode())
    return [markdown, *write_figures(tables, logs, folder, ("svg",), suite.figures)]
