"""The critical-difference diagram (Demšar 2006, figure 1): average ranks on a line, bars over those alike."""

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zapbench.leaderboard.decide.overview import Overview
from zapbench.leaderboard.show.drawing import save, short


def groups(overview: Overview) -> list[tuple[float, float]]:
    """Returns the largest spans of average ranks that differ by less than the critical difference, of two or more.

    >>> ranks = {"a": 1.0, "b": 1.5, "c": 3.0}
    >>> groups(Overview("p", [], {}, ranks, 1.0, ""))
    [(1.0, 1.5)]
    """
    ranks = sorted(overview.average_ranks.values())
    found: list[tuple[float, float]] = []
    for start, low in enumerate(ranks):
        high = max(rank for rank in ranks[start:] if rank - low < overview.critical_difference)
        if high > low and not any(a <= low and high <= b for a, b in found):
            found.append((low, high))
    return found


def draw(overview: Overview, path: Path) -> None:
    """Draws the diagram into a file; its ending says the format (png, svg, pdf).

    Raises:
        ValueError: there is no critical difference, or matplotlib does not know the format.
    """
    if math.isnan(overview.critical_difference):
        raise ValueError(f"no critical-difference diagram of {overview.protocol}: {overview.note}")
    count = len(overview.average_ranks)
    bars = groups(overview)
    figure = Figure(figsize=(7, 1.2 + 0.28 * count + 0.15 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    for place, (low, high) in enumerate(bars):
        axes.plot([low - 0.03, high + 0.03], [-0.35 - 0.3 * place] * 2, color="black", linewidth=4)
    _draw_names(axes, overview, below=-0.35 - 0.3 * len(bars))
    difference = overview.critical_difference
    axes.plot([1, 1 + difference], [0.9, 0.9], color="black", linewidth=2)
    axes.text(1 + difference / 2, 1.0, f"CD = {difference:.2f}", ha="center", va="bottom")
    axes.plot([1, count], [0, 0], color="black", linewidth=1)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, 0.12], color="black", linewidth=1)
        axes.text(tick, 0.18, str(tick), ha="center", va="bottom")
    axes.set_title(f"{overview.protocol}: average ranks over {len(overview.scenarios)} data sets", fontsize=10, pad=18)
    axes.set_xlim(-count * 0.35, count * 1.35 + 1)
    axes.axis("off")
    save(figure, path)


def _draw_names(axes: Axes, overview: Overview, *, below: float) -> None:
    """Draws the methods left and right below the line, each joined to its average rank."""
    order = sorted(overview.average_ranks.items(), key=lambda item: item[1])
    count = len(order)
    for place, (name, rank) in enumerate(order):
        left = place < (count + 1) // 2
        height = below - 0.55 * (place if left else count - 1 - place)
        edge = 0.8 if left else count + 0.2
        axes.plot([rank, rank, edge], [0, height, height], color="black", linewidth=0.8)
        label = f"{short(name)}  ({rank:.2f})"
        axes.text(
            edge,
            height,
            f"{label} " if left else f" {label}",
            ha="right" if left else "left",
            va="center",
            parse_math=False,
        )
