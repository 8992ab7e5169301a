"""What a suite found: the table of its own logs, in words and drawn, beside them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.leaderboard.load import Logs
from zapbench.plan import plan
from zapbench.suite import Suite

if TYPE_CHECKING:
    from zapbench.leaderboard.tables import Table

RESULTS = "results"
"""Folder below the output folder: a folder a suite."""


def own_logs(logs: Logs, suite: Suite) -> Logs:
    """Returns the logs of a suite alone, of a folder that several may share."""
    own = {task.folder.as_posix() for task in plan(replace(suite, full=True))}

    def is_own(file: str) -> bool:
        return file.rpartition("/")[0] in own

    return replace(
        logs,
        trials=logs.trials[logs.trials["file"].map(is_own).astype(bool)],  # their index stays: curves refer to it
        runs=logs.runs[logs.runs["file"].map(is_own).astype(bool)],
        problems=[problem for problem in logs.problems if is_own(problem.partition(": ")[0])],
    )


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
    from zapbench.leaderboard.figures import write_figures
    from zapbench.leaderboard.render import to_markdown
    from zapbench.whole import write_whole

    folder = out / RESULTS / name
    table = folder / "table.md"
    write_whole(table, to_markdown(list(made), logs.problems).encode())
    return [table, *write_figures(made, logs, folder, formats, suite.figures)]
