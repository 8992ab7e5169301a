"""Which figures there are of a table, and writing them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from zapbench.leaderboard.claims.judge import papers_values
from zapbench.leaderboard.decide.class_tables import class_matrices, dynamics_of
from zapbench.leaderboard.decide.curves import curves
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show import classes, cost, dynamics, forest, gains, matrix
from zapbench.leaderboard.show.drawing import file_name, places, save
from zapbench.leaderboard.show.kinds import USUAL
from zapbench.leaderboard.show.paper_bars import paper_bars
from zapbench.leaderboard.show.trajectories import bars, trajectories

FORMATS = ("svg", "png", "pdf")


DRAWN: dict[str, Callable[[Table, Logs, Mapping[str, int]], Figure | None]] = {
    "trajectories": lambda table, logs, own: trajectories(table, curves(logs, table), own, papers_values(table, logs)),
    "bars": lambda table, logs, own: bars(table, papers_values(table, logs)),
    "paper": lambda table, logs, own: paper_bars(table, logs),
    "forest": lambda table, logs, own: forest.draw(table),
    "matrix": lambda table, logs, own: matrix.draw(table),
    "cost": lambda table, logs, own: cost.draw(table),
    "classes": lambda table, logs, own: classes.draw(table, class_matrices(logs, table)),
    "dynamics": lambda table, logs, own: dynamics.heat_maps(table.title, dynamics_of(logs, table)),
    "heads": lambda table, logs, own: gains.heads_figure(table, logs),
}
"""Kind of figure -> what makes it of a table, the logs, and each method's place among colours; None for nothing."""

TEXTS: dict[str, Callable[[Table, Logs], str]] = {
    "dynamics": lambda table, logs: dynamics.to_markdown(table.title, dynamics_of(logs, table)),
    "heads": gains.to_markdown,
}
"""Kind of figure -> the text in Markdown that goes with it; an empty one is not written."""


def write_figures(
    tables: Sequence[Table],
    logs: Logs,
    folder: Path,
    formats: Sequence[str] = ("svg",),
    kinds: Sequence[str] = USUAL,
) -> list[Path]:
    """Writes every table's figures into a folder and returns their paths.

    Args:
        tables: of the logs.
        logs: for curves and counts.
        folder: created if missing.
        formats: of `FORMATS`.
        kinds: of `KINDS`; a kind that a table has nothing for is not drawn. Some go with a text in Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    own = places(tables)
    for table in tables:
        for kind in kinds:
            if kind in TEXTS and (text := TEXTS[kind](table, logs)):
                written.append(folder / f"{file_name(table)}-{kind}.md")
                written[-1].write_text(text, encoding="utf-8")
            figure = DRAWN[kind](table, logs, own)
            if figure is None:
                continue
            for form in formats:
                path = folder / f"{file_name(table)}-{kind}.{form}"
                save(figure, path)
                written.append(path)
    return written
