"""Reads logs and prints their tables, for `run`, `suite` and `leaderboard`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.launchers.cpus import cores

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from zapbench.leaderboard.decide.tables import Table
    from zapbench.leaderboard.read.mapping import LogMapping
    from zapbench.leaderboard.read.tabulate import Logs
    from zapbench.leaderboard.show.view import View


def read_logs(
    folder: "Path | Sequence[Path]",
    *,
    mapping: "LogMapping | None" = None,
    keep: bool = True,
    only: "Container[str] | None" = None,
) -> "Logs":
    """Reads folders of logs and shows progress.

    Args:
        folder: holds the logs; of several the order counts.
        mapping: describes how to read logs that zapbench did not write.
        keep: whether to cache what was read.
        only: ignores every folder of a task that is not among these.
    """
    from rich.console import Console
    from rich.progress import Progress

    from zapbench.leaderboard.read.cache import default_cache
    from zapbench.leaderboard.read.load import load

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("reading logs", total=None)
        return load(
            folder,
            mapping=mapping,
            cache=default_cache() if keep else None,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
            workers=cores(),
            only=only,
        )


def print_tables(
    logs: "Logs", form: str, by: str, *, metric: str = "final", view: "View | None" = None
) -> "list[Table]":
    """Ranks logs and prints their tables, and on stderr the logs that were excluded.

    Args:
        logs: the logs.
        form: `table`, `md`, `latex`, `csv` or `json`.
        by: selects rates on the selection trials (`select`) or on the reported ones (`paper`).
        metric: what methods are ranked by.
        view: which columns are printed, and how; None for what is usual.
    """
    from zapbench.cli.consoles import output
    from zapbench.leaderboard.decide.metrics import metric_named
    from zapbench.leaderboard.decide.tables import tables
    from zapbench.leaderboard.show.data import to_csv, to_json
    from zapbench.leaderboard.show.latex import to_latex
    from zapbench.leaderboard.show.markdown import to_markdown
    from zapbench.leaderboard.show.terminal import to_terminal
    from zapbench.leaderboard.show.view import View

    view = view or View(bold=True)
    ranked = tables(logs, by=by, metric=metric_named(metric))
    if form == "table":
        to_terminal(ranked, output(), view)
    else:
        renderers = {
            "md": lambda: to_markdown(ranked, logs.problems, view),
            "latex": lambda: to_latex(ranked, view),
            "csv": lambda: to_csv(ranked, view),
            "json": lambda: to_json(ranked, logs.problems, view),
        }
        sys.stdout.write(renderers[form]())
    for problem in logs.problems:
        print(f"excluded: {problem}", file=sys.stderr)
    return ranked
