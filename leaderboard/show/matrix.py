"""Who is significantly above whom, and by how much: a square of all pairs of a table."""

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from zapbench.leaderboard.decide.relations import compared, differences
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.drawing import short, titled, without_shared

ABOVE, BELOW, ALIKE = "#0072B2", "#D55E00", "#EEEEEE"
"""Okabe and Ito's blue and vermilion, which colour-blind readers can distinguish."""
MOST_NUMBERED = 40
"""Methods up to which the differences stand in the cells."""


def draw(table: Table) -> Figure | None:
    """Draws the difference of each two methods' means in points, coloured where it is significant.

    A cell is the method of its row minus that of its column. None where fewer than two methods were compared.
    """
    order = compared(table)
    if not order:
        return None
    known, count = differences(table), len(order)
    side = max(2.6, 0.42 * count)
    figure = Figure(figsize=(side + 2.6, side + 2.2), layout="constrained")
    axes = figure.add_subplot()
    for y, first in enumerate(order):
        for x, second in enumerate(order):
            if first == second:
                continue
            difference, significant = known[first, second]
            colour = (ABOVE if difference > 0 else BELOW) if significant else ALIKE
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
            if count <= MOST_NUMBERED:
                ink = "white" if significant else "#555555"
                axes.text(x, y, _points(difference), ha="center", va="center", fontsize=7, color=ink)
    names = dict(zip((row.method for row in table.rows), without_shared([row.method for row in table.rows])[0]))
    labels = [short(names[name], 32) for name in order]
    axes.set_xticks(range(count), labels, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(count), labels, fontsize=8, parse_math=False)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("differences of means in points: row minus column", fontsize=9)
    titled(axes, table)
    keys = [
        Patch(facecolor=ABOVE, label="row significantly above column"),
        Patch(facecolor=BELOW, label="row significantly below column"),
        Patch(facecolor=ALIKE, label="not significantly different"),
    ]
    figure.legend(handles=keys, fontsize=8, frameon=False, loc="outside lower center", ncols=1 if count < 12 else 3)
    return figure


def _points(difference: float) -> str:
    """Returns a difference in whole points.

    >>> _points(0.123), _points(-0.001)
    ('+12', '0')
    """
    rounded = round(100 * difference)
    return f"{rounded:+d}" if rounded else "0"
