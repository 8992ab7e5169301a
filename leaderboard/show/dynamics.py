"""The dynamics of a table's methods as Markdown and as heat maps of classes by time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from zapbench.leaderboard.decide.class_tables import MethodDynamics
from zapbench.leaderboard.decide.dynamics import changes
from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.show.columns import ABSENT, percent
from zapbench.leaderboard.show.markdown import escape
from zapbench.text import one_line

HEADINGS = (
    "method", "trials", "shock (points)", "recovered %", "classes until then", "effect on earlier (points)", "harm",
    "synergy",
)  # fmt: skip

MOST_DRAWN = 20
"""Methods that are drawn, the best of a table."""

EXPLAINED = (
    "Shock: depth of a class's first drop in held-out accuracy after it was learned, mean over classes, in percentage "
    "points. Recovered: share of the classes with a drop that reached their level again, and how many classes were "
    "learned until then. Effect on earlier: change of an earlier class's accuracy per class learned; harm and synergy "
    "are its falls and rises. Definitions: `zapbench.leaderboard.decide.dynamics`."
)


def to_markdown(title: str, found: Sequence[MethodDynamics]) -> str:
    """Returns the table, an explanation, and why methods are missing from it."""
    lines = [f"# {escape(title)}: dynamics", "", _line(HEADINGS), _line(["---"] * len(HEADINGS))]
    lines += [_line(_cells(one)) for one in found if one.mean is not None]
    lines += ["", EXPLAINED]
    for one in found:
        if one.missing:
            lines += ["", f"{escape(one.method)} is missing: {escape(one.missing)}."]
    return "\n".join(lines) + "\n"


def _cells(one: MethodDynamics) -> list[str]:
    assert one.mean is not None
    own = one.mean.interference
    recovery = f"{one.mean.recovery:.1f}" if is_number(one.mean.recovery) else ABSENT
    effects = [f"{100 * value:.2f}" if is_number(value) else ABSENT for value in (own.earlier, own.harm, own.synergy)]
    return [
        escape(one.method), str(one.trials), percent(one.mean.depth), percent(one.mean.recovered), recovery, *effects
    ]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def heat_maps(title: str, found: Sequence[MethodDynamics]) -> Figure | None:
    """Draws two maps per method, classes by classes learned: accuracy, and what each class learned changed.

    A class is a row, in the order learned; a column is the class that was learned last. Returns None where no method
    has numbers.
    """
    measured = [one for one in found if one.mean is not None]
    drawn = measured[:MOST_DRAWN]
    if not drawn:
        return None
    figure = Figure(figsize=(7.0, 0.6 + 2.6 * len(drawn)), layout="constrained")
    grid = figure.subplots(len(drawn), 2, squeeze=False)
    for one, (left, right) in zip(drawn, grid):
        moved = 100 * changes(one.table)
        most = float(np.nanmax(np.abs(moved), initial=1.0))
        for axes, values, colours, limits in (
            (left, 100 * one.table, "viridis", (0.0, 100.0)),
            (right, moved, "RdBu", (-most, most)),
        ):
            classes = values.shape[1]
            edges = (0.5, classes + 0.5, classes + 0.5, 0.5)
            image = axes.imshow(
                values.T, cmap=colours, vmin=limits[0], vmax=limits[1], extent=edges, interpolation="nearest"
            )
            axes.locator_params(integer=True)
            figure.colorbar(image, ax=axes)
        left.set_title(one_line(one.method)[:60], fontsize=9, parse_math=False, loc="left")
        left.set_ylabel("class, in order learned")
    for axes, name in zip(grid[-1], ("accuracy (%)", "change by one class (points)")):
        axes.set_xlabel(f"classes learned\n{name}")
    more = f"\n{len(measured) - len(drawn)} methods are not drawn" if len(measured) > len(drawn) else ""
    figure.suptitle(f"{one_line(title)}{more}", fontsize=10, parse_math=False)
    return figure
