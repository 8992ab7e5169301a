"""Figures like the paper's: trajectories with bands, and bars with validation beside transfer accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from zapbench.leaderboard.decide.curves import Curve, step_name
from zapbench.leaderboard.decide.rows import Row, is_number
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.drawing import BOUND_STYLES, COLOURS, STYLES, places, short, titled, without_shared

PAPERS_MARK: dict[str, Any] = {
    "marker": "D", "markersize": 6, "markerfacecolor": "white", "markeredgecolor": "black", "linestyle": "none",
    "zorder": 4, "clip_on": False,
}  # fmt: skip
"""How a value that the paper reports is drawn."""
MOST_CURVES = 28
"""Colours and line styles repeat after as many."""


def trajectories(
    table: Table,
    found: Sequence[Curve],
    own: Mapping[str, int] | None = None,
    papers: Mapping[str, float] | None = None,
) -> Figure:
    """Draws held-out accuracy over classes seen (or updates): means over seeds, bands their 95% t intervals.

    Chance and upper bounds are black lines without a band. The paper's final accuracy is a diamond of the colour of
    the method's curve. Of more than `MOST_CURVES` curves the first are drawn, and the axis says so.

    Args:
        table: what is drawn.
        found: its curves.
        own: method -> its place among colours and styles; None for the table's order.
        papers: method -> the paper's final accuracy in percent.
    """
    own = places([table]) if own is None else own
    left_out, found = len(found[MOST_CURVES:]), found[:MOST_CURVES]
    figure = Figure(figsize=(6.4, max(4.2, 1 + 0.17 * len(found))), layout="constrained")
    axes = figure.add_subplot()
    for curve in found:
        _draw(axes, curve, own.get(curve.method, 0), bound=curve.method in table.bounds)
    names, _ = without_shared([curve.method for curve in found])
    handles = list(axes.lines)
    marked = [(curve, papers[curve.method]) for curve in found if papers and curve.method in papers]
    for curve, value in marked:
        colour = COLOURS[own.get(curve.method, 0) % len(COLOURS)]
        axes.plot(curve.steps[-1:], [value], **PAPERS_MARK | {"markerfacecolor": colour})
    if marked:
        handles.append(Line2D([], [], **PAPERS_MARK))
        names.append("paper")
    if is_number(table.chance):
        handles.append(axes.axhline(100 * table.chance, color="black", linestyle=":", linewidth=1))
        names.append("chance")
    shown = f" (the first {len(found)} methods of the table; {left_out} more are not drawn)" if left_out else ""
    axes.set_xlabel(step_name(table.protocol) + shown)
    axes.locator_params(axis="x", integer=True)
    _finish(axes, table)
    legend = axes.legend(
        handles, ["-"] * len(handles), fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1)
    )
    for text, name in zip(legend.get_texts(), names):
        text.set_parse_math(False)  # a name is not a formula
        text.set_text(short(name))
    return figure


def _draw(axes: Axes, curve: Curve, place: int, *, bound: bool) -> None:
    colour = "black" if bound else COLOURS[place % len(COLOURS)]
    style = BOUND_STYLES[place % len(BOUND_STYLES)] if bound else STYLES[place % len(STYLES)]
    steps, mean = curve.steps, [100 * value for value in curve.mean]
    marker = "o" if len(steps) == 1 else None
    axes.plot(steps, mean, color=colour, linestyle=style, linewidth=1.6, marker=marker, markersize=4)
    if curve.low and not bound:
        low, high = ([100 * value for value in end] for end in (curve.low, curve.high))
        axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)


def bars(table: Table, papers: Mapping[str, float] | None = None) -> Figure:
    """Draws validation accuracy in pre-training beside held-out accuracy in transfer, with 95% t intervals.

    Above a bar are its significance groups: methods that share a letter are not significantly different. The paper's
    final accuracy is a diamond.

    Args:
        table: what is drawn.
        papers: method -> the paper's final accuracy in percent.
    """
    papers = papers or {}
    rows = table.rows
    figure = Figure(figsize=(max(4.8, 1.6 + 0.9 * len(rows)), 3.8), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        if is_number(row.validation):
            axes.bar(place - 0.2, 100 * row.validation, 0.38, color="#BBBBBB", edgecolor="black", linewidth=0.6)
        score = 100 * row.held_out.mean
        hatch = "//" if row.method in table.bounds else None
        error = _error(row)
        axes.bar(place + 0.2, score, 0.38, color=COLOURS[0], edgecolor="black", linewidth=0.6, hatch=hatch, yerr=error)
        top = score + (error[1][0] if error else 0)
        if row.method in papers:
            axes.plot([place + 0.2], [papers[row.method]], **PAPERS_MARK)
            top = max(top, papers[row.method] + 1)
        axes.annotate(row.letters, (place + 0.2, top), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    if is_number(table.chance):
        axes.axhline(100 * table.chance, color="black", linestyle=":", linewidth=1)
    axes.set_xticks(range(len(rows)))
    names, _ = without_shared([row.method for row in rows])
    axes.set_xticklabels([short(name, 24) for name in names], rotation=25, ha="right", parse_math=False)
    _finish(axes, table)
    axes.margins(y=0.12)
    keys: list[Patch | Line2D] = [
        Patch(facecolor="#BBBBBB", edgecolor="black", label="validation accuracy (pre-training)"),
        Patch(facecolor=COLOURS[0], edgecolor="black", label="held-out accuracy (transfer)"),
        Line2D([], [], color="black", linestyle=":", linewidth=1, label="chance"),
    ]
    if any(row.method in papers for row in rows):
        keys.append(Line2D([], [], **PAPERS_MARK, label="paper (transfer)"))
    axes.legend(handles=keys, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _error(row: Row) -> list[list[float]] | None:
    mean, low, high = row.held_out.mean, row.held_out.low, row.held_out.high
    if not is_number(low):
        return None
    return [[100 * (mean - max(0.0, low))], [100 * (min(1.0, high) - mean)]]


def _finish(axes: Axes, table: Table) -> None:
    axes.set_ylabel("accuracy (%)")
    axes.set_ylim(bottom=0)
    titled(axes, table)
    axes.spines[["top", "right"]].set_visible(False)
