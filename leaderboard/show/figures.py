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
from zapbench.leaderboard.show.drawing import places, save
from zapbench.leaderboard.show.kinds import USUAL
from zapbench.leaderboard.show.paper_bars import paper_bars
from zapbench.leaderboard.show.trajectories import bars, trajectories

FORMATS = ("svg", "png", "pdf")


Drawn = tuple[Figure | None, str]
"""A figure, and the text in Markdown that goes with it; None and an empty text for nothing."""


def _dynamics(table: Table, logs: Logs) -> Drawn:
    found = dynamics_of(logs, table)
    return dynamics.heat_maps(table.title, found), dynamics.to_markdown(table.title, found)


DRAWN: dict[str, Callable[[Table, Logs, Mapping[str, int]], Drawn]] = {
    "trajectories": lambda table, logs, own: (
        trajectories(table, curves(logs, table), own, papers_values(table, logs)),
        "",
    ),
    "bars": lambda table, logs, own: (bars(table, papers_values(table, logs)), ""),
    "paper": lambda table, logs, own: (paper_bars(table, logs), ""),
    "forest": lambda table, logs, own: (forest.draw(table), ""),
    "matrix": lambda table, logs, own: (matrix.draw(table), ""),
    "cost": lambda table, logs, own: (cost.draw(table), ""),
    "classes": lambda table, logs, own: (classes.draw(table, class_matrices(logs, table)), ""),
    "dynamics": lambda table, logs, own: _dynamics(table, logs),
    "heads": lambda table, logs, own: (gains.heads_figure(table, logs), gains.to_markdown(table, logs)),
}
"""Kind of figure -> what makes it of a table, the logs, and each method's place among colours."""


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
            figure, text = DRAWN[kind](table, logs, own)
            if text:
                written.append(folder / f"{table.file_name}-{kind}.md")
                written[-1].write_text(text, encoding="utf-8")
            if figure is None:
                continue
            for form in formats:
                path = folder / f"{table.file_name}-{kind}.{form}"
                save(figure, path)
                written.append(path)
    return written
