"""Accuracy against cost: gradient steps, images, FLOPs and seconds of pre-training, and seconds of a trial."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from zapbench.leaderboard.decide.rows import Row, is_number
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.drawing import COLOURS, places, short, titled, without_shared

COSTS: dict[str, Callable[[Row], float]] = {
    "gradient steps of pre-training": lambda row: row.gradient_steps,
    "images in pre-training, repeats counted": lambda row: row.images_seen,
    "nominal FLOPs of pre-training": lambda row: row.flops,
    "seconds of pre-training": lambda row: row.seconds,
    "seconds of a trial": lambda row: row.transfer_seconds,
}
MARKERS = "osD^v<>P"


def draw(table: Table) -> Figure | None:
    """Draws mean held-out accuracy with its 95% t interval against each recorded cost, a panel for each.

    A grey line joins the methods that none is above at the same or a lower cost. None where no cost was recorded.
    """
    known = {name: cost for name, cost in COSTS.items() if any(is_number(cost(row)) for row in table.rows)}
    if not known:
        return None
    rows = -(-len(known) // 2)
    figure = Figure(figsize=(8.4, 3.0 * rows + 0.19 * -(-len(table.rows) // 3) + 0.6), layout="constrained")
    panels = figure.subplots(rows, min(2, len(known)), sharey=True, squeeze=False).ravel()
    own = places([table])
    handles: dict[str, Line2D] = {}
    for axes, (name, cost) in zip(panels, known.items()):
        handles |= _panel(axes, table, cost, own)
        axes.set_xlabel(name, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(known) :]:
        axes.axis("off")
    for axes in panels[:: min(2, len(known))]:
        axes.set_ylabel("held-out accuracy (%)", fontsize=9)
    panels[0].set_ylim(bottom=0)
    shown, _ = without_shared([row.method for row in table.rows])
    order = [row.method for row in table.rows if row.method in handles]
    names = dict(zip((row.method for row in table.rows), shown))
    legend = figure.legend(
        [handles[name] for name in order], ["-"] * len(order), fontsize=8, frameon=False, ncols=3,
        loc="outside lower center",
    )  # fmt: skip
    for text, name in zip(legend.get_texts(), order):
        text.set_parse_math(False)
        text.set_text(short(names[name], 32))
    titled(panels[0], table)
    return figure


def _panel(axes: Axes, table: Table, cost: Callable[[Row], float], own: dict[str, int]) -> dict[str, Line2D]:
    known = [row for row in table.rows if is_number(cost(row))]
    handles: dict[str, Line2D] = {}
    for row in known:
        bound = row.method in table.bounds
        place = own[row.method]
        colour = "black" if bound else COLOURS[place % len(COLOURS)]
        marker = MARKERS[(place if bound else place // len(COLOURS)) % len(MARKERS)]
        style: dict[str, Any] = {"marker": marker, "color": colour, "fillstyle": "none" if bound else "full"}
        style |= {"clip_on": False}  # the whole of a dot at the edge
        (handles[row.method],) = axes.plot([cost(row)], [100 * row.held_out.mean], linestyle="none", **style)
        if is_number(row.held_out.low):
            ends = [100 * max(0.0, row.held_out.low), 100 * min(1.0, row.held_out.high)]
            axes.plot([cost(row)] * 2, ends, color=colour, linewidth=1)
    values = [cost(row) for row in known]
    if known and max(values) > 10 * max(1e-9, min(values)):
        least = min((value for value in values if value > 0), default=1.0)
        axes.set_xscale("symlog", linthresh=least, linscale=0.3)
    else:
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    front = frontier([(cost(row), 100 * row.held_out.mean) for row in known if row.method not in table.bounds])
    if len(front) > 1:
        axes.step(*zip(*front), where="post", color="#BBBBBB", linewidth=1, zorder=0)
    return handles


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points that no other is above at the same or a lower cost, cheapest first.

    >>> frontier([(1, 10), (2, 5), (3, 20), (3, 15)])
    [(1, 10), (3, 20)]

    Args:
        points: cost and accuracy of each.
    """
    found: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or accuracy > found[-1][1]:
            found.append((cost, accuracy))
    return found
