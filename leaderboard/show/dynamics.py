"""The dynamics of a table's methods as Markdown and as heat maps of classes by time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zapbench.leaderboard.decide.class_tables import MethodDynamics
from zapbench.leaderboard.decide.dynamics import Table, changes
from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.show.columns import ABSENT, percent
from zapbench.leaderboard.show.markdown import escape
from zapbench.text import one_line

HEADINGS = (
    "method", "trials", "shock (points)", "recovered %", "classes until then", "effect on earlier (points)", "harm",
    "synergy",
)  # fmt: skip

LOSS_HEADINGS = ("loss of earlier (nats)", "loss of those to come (nats)")
"""Of tables in which some method has losses."""

MOST_DRAWN = 20
"""Methods that are drawn, the best of a table."""

EXPLAINED = (
    "Shock: depth of a class's first drop in held-out accuracy after it was learned, mean over classes, in percentage "
    "points. Recovered: share of the classes with a drop that reached their level again, and how many classes were "
    "learned until then. Effect on earlier: change of an earlier class's accuracy per class learned; harm and synergy "
    "are its falls and rises. Definitions: `zapbench.leaderboard.decide.dynamics`."
)

LOSSES_EXPLAINED = (
    "Loss of earlier, loss of those to come: change of the held-out loss of a class that was learned before, or will "
    "be learned later, per class learned; above 0 is worse."
)


def to_markdown(title: str, found: Sequence[MethodDynamics]) -> str:
    """Returns the table, an explanation, and why methods are missing from it."""
    with_losses = any(one.effect is not None for one in found)
    headings = (*HEADINGS, *(LOSS_HEADINGS if with_losses else ()))
    lines = [f"# {escape(title)}: dynamics", "", _line(headings), _line(["---"] * len(headings))]
    lines += [_line(_cells(one)[: len(headings)]) for one in found if one.mean is not None]
    lines += ["", EXPLAINED, *(["", LOSSES_EXPLAINED] if with_losses else [])]
    for one in found:
        if one.missing:
            lines += ["", f"{escape(one.method)} is missing: {escape(one.missing)}."]
    return "\n".join(lines) + "\n"


def _cells(one: MethodDynamics) -> list[str]:
    assert one.mean is not None
    own = one.mean.interference
    recovery = f"{one.mean.recovery:.1f}" if is_number(one.mean.recovery) else ABSENT
    effects = [f"{100 * value:.2f}" if is_number(value) else ABSENT for value in (own.earlier, own.falls, own.rises)]
    losses = (one.effect.earlier, one.effect.to_come) if one.effect is not None else (None, None)
    return [
        escape(one.method), str(one.trials), percent(one.mean.depth), percent(one.mean.recovered), recovery, *effects,
        *(f"{value:+.3f}" if value is not None and is_number(value) else ABSENT for value in losses),
    ]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def heat_maps(title: str, found: Sequence[MethodDynamics]) -> Figure | None:
    """Draws maps of classes by classes learned: accuracy, what each class learned changed of it, and of the losses.

    A row of the figure is a method; losses have maps where some method recorded them. A class is a row of a map, in the
    order learned; a column is the class that was learned last. Returns None where no method has numbers.
    """
    measured = [one for one in found if one.mean is not None]
    drawn = measured[:MOST_DRAWN]
    if not drawn:
        return None
    names = ["accuracy (%)", "change of accuracy (points)"]
    if any(one.losses.size for one in drawn):
        names.append("change of loss (nats)")
    figure = Figure(figsize=(3.5 * len(names), 0.6 + 2.6 * len(drawn)), layout="constrained")
    grid = figure.subplots(len(drawn), len(names), squeeze=False)
    for one, row in zip(drawn, grid):
        _map(row[0], 100 * one.table, names[0], "viridis", (0.0, 100.0))
        _map(row[1], 100 * changes(one.table), names[1], "RdBu")
        for axes in row[2:]:
            if one.losses.size:
                _map(axes, changes(one.losses), names[2], "RdBu_r")
            else:
                axes.set_axis_off()
                axes.text(0.5, 0.5, "not recorded", ha="center", transform=axes.transAxes)
        row[0].set_title(one_line(one.method)[:60], fontsize=9, parse_math=False, loc="left")
        row[0].set_ylabel("class, in order learned")
    for axes in grid[-1]:
        axes.set_xlabel("classes learned")
    more = f"\n{len(measured) - len(drawn)} methods are not drawn" if len(measured) > len(drawn) else ""
    figure.suptitle(f"{one_line(title)}{more}", fontsize=10, parse_math=False)
    return figure


def _map(axes: Axes, values: Table, name: str, colours: str, limits: tuple[float, float] | None = None) -> None:
    """Draws a table `(points, classes)`; without limits, zero is in the middle and the colours suit the other classes.

    What learning a class does to itself is larger than what it does to others, and is cut at the colours' ends.
    """
    if limits is None:
        point, place = np.indices(values.shape)
        others = np.abs(values[(point != place) & np.isfinite(values)])
        most = float(np.quantile(others, 0.98)) if others.size else 0.0
        limits = (-(most or 1.0), most or 1.0)
    classes = values.shape[1]
    edges = (0.5, classes + 0.5, classes + 0.5, 0.5)
    image = axes.imshow(values.T, cmap=colours, vmin=limits[0], vmax=limits[1], extent=edges, interpolation="nearest")
    axes.locator_params(integer=True)
    assert axes.figure is not None
    axes.figure.colorbar(image, ax=axes, label=name, extend="both" if limits[0] < 0 else "neither")
