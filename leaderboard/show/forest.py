"""Forest plot: each method's mean and interval on a line of its own, between floors and ceilings."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zapbench.leaderboard.decide.references import references
from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import interval
from zapbench.leaderboard.show.drawing import COLOURS, short, titled, without_shared

FLOOR_STYLES = (":", (0, (1, 3)))
CEILING_STYLES = ((0, (5, 3)), (0, (4, 1, 1, 1)), (0, (2, 1)))


def draw(table: Table) -> Figure | None:
    """Draws means over pre-training seeds with 95% t intervals, best first; bounds are hollow. None without a row.

    Vertical lines are floors (chance, the best without pre-training) and ceilings (the best of each bound).
    """
    rows = [row for row in table.rows if is_number(row.scored.mean)]
    if not rows:
        return None
    figure = Figure(figsize=(7.2, 1.5 + 0.26 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        bound = row.method in table.bounds
        colour = "black" if bound else COLOURS[0]
        mean = 100 * row.scored.mean
        if is_number(row.scored.low):
            low, high = row.scored.low, row.scored.high
            ends = [100 * (max(0.0, low) if row.scored.mean >= 0 else low), 100 * min(1.0, high)]
            axes.plot(ends, [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot([mean], [place], marker="s", markersize=5, color=colour, fillstyle="none" if bound else "full")
    handles = _levels(figure, table)
    names, _ = without_shared([row.method for row in rows])
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels([short(name, 40) for name in names], parse_math=False, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if all(row.scored.mean >= 0 for row in rows):
        axes.set_xlim(left=0)
    axes.set_xlabel(f"{table.metric.label}: mean over pre-training seeds, 95% t interval", fontsize=9)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(rows)))
    right.set_yticklabels([interval(row, row.scored) for row in rows], fontsize=8)
    right.tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(False)
    right.spines["right"].set_visible(False)
    titled(axes, table)
    if handles:
        legend = figure.legend(
            handles.values(), ["-"] * len(handles), fontsize=8, frameon=False, ncols=2, loc="outside lower center"
        )
        for text, name in zip(legend.get_texts(), handles):
            text.set_parse_math(False)
            text.set_text(name)
    return figure


def _levels(figure: Figure, table: Table) -> dict[str, Line2D]:
    """Draws floors and ceilings, and returns what the legend names them -> their lines."""
    (axes,) = figure.axes
    names, _ = without_shared([row.method for row in table.rows])
    plain = dict(zip((row.method for row in table.rows), names))
    found = {}
    counts = {True: 0, False: 0}
    for level in references(table):
        styles = FLOOR_STYLES if level.is_floor else CEILING_STYLES
        style = styles[counts[level.is_floor] % len(styles)]
        counts[level.is_floor] += 1
        kind = "floor" if level.is_floor else "ceiling"
        name = f"{kind}: {short(plain.get(level.name, level.name), 30)} ({100 * level.value:.1f})"
        found[name] = axes.axvline(100 * level.value, color="black", linestyle=style, linewidth=1, zorder=0)
    return found
