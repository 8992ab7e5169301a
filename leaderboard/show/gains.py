"""Pre-trainings x heads as a heat map, and what zapping gains under each head: lines and a figure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zapbench.leaderboard.decide.compare import Estimate
from zapbench.leaderboard.decide.gains import REFERENCES, Gain, Interval, gains, scores
from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show.drawing import short
from zapbench.leaderboard.show.markdown import escape

CELL = 1.15, 0.52
"""Width and height of a cell in inches."""


def gains_lines(found: Sequence[Gain]) -> list[str]:
    """Returns a line a pre-training and head: the gain in points, its interval, its p, and the share that is left."""
    return [
        f"{gain.strategy}, {gain.transfer}: zapping adds {_points(gain.difference)} points"
        f"{_significance(gain)}{_share(gain.share)}"
        for gain in found
    ]


def _points(interval: Interval, digits: int = 1) -> str:
    value = f"{100 * interval.value:+.{digits}f}"
    if not is_number(interval.low):
        return value
    return f"{value} [{100 * interval.low:+.{digits}f}, {100 * interval.high:+.{digits}f}]"


def _significance(gain: Gain) -> str:
    if not is_number(gain.p):
        return ", fewer than three seeds"
    shown = "p < 0.001" if gain.p < 0.001 else f"p = {gain.p:.3f}"
    return f", {shown}" if gain.significant else f", not significant ({shown})"


def _share(share: Interval) -> str:
    if not (is_number(share.value) and share.value > 0):  # a loss is no share of a gain
        return ""
    interval = f" [{100 * share.low:.0f}, {100 * share.high:.0f}]" if is_number(share.low) else ""
    return f"; {100 * share.value:.0f}%{interval} of the gain under Adam is left"


def to_markdown(table: Table, logs: Logs) -> str:
    """Returns what zapping gains, a line a head; empty where no pre-training has both, or there is one head alone."""
    if len({transfer for _, transfer in scores(table, logs)}) < 2:
        return ""
    lines = [f"- {escape(line)}" for line in gains_lines(gains(table, logs))]
    return "\n".join([f"# {escape(table.title)}: what zapping gains", "", *lines]) + "\n" if lines else ""


def heads_figure(table: Table, logs: Logs) -> Figure | None:
    """Draws held-out accuracy of every pre-training under every head, and beside it what zapping gains under each.

    A cell holds the mean over seeds and half of its 95% interval, or the gain, its interval, and the share of the gain
    under Adam that is left. Gains in brackets are not significant. Returns None where there is one head alone.
    """
    accuracy = scores(table, logs)
    if len({transfer for _, transfer in accuracy}) < 2:
        return None
    found = gains(table, logs)
    transfers = sorted({transfer for _, transfer in accuracy}, key=lambda name: (name not in REFERENCES, name))
    strategies = list(dict.fromkeys(strategy for strategy, _ in accuracy))
    gaining = list(dict.fromkeys(gain.strategy for gain in found))
    width, height = CELL
    panels = 2 if found else 1
    size = 2.4 + panels * (1.2 + width * len(transfers)), 1.9 + height * max(len(strategies), 3)
    figure = Figure(figsize=size, layout="constrained")
    left, *right = np.atleast_1d(figure.subplots(1, panels)).tolist()
    cells = {key: (estimate.mean, _accuracy(estimate)) for key, estimate in accuracy.items()}
    _heat_map(left, strategies, transfers, cells, "held-out accuracy (%)", "viridis")
    for axes in right:
        text = {(gain.strategy, gain.transfer): (gain.difference.value, _gain(gain)) for gain in found}
        _heat_map(axes, gaining, transfers, text, "gain by zapping (points)", "RdBu")
    figure.suptitle(short(table.title), fontsize=10, parse_math=False)
    return figure


def _accuracy(estimate: Estimate) -> str:
    mean = f"{100 * estimate.mean:.1f}"
    return f"{mean}\n± {100 * (estimate.high - estimate.mean):.1f}" if is_number(estimate.low) else mean


def _gain(gain: Gain) -> str:
    value = f"{100 * gain.difference.value:+.1f}"
    value = value if gain.significant or not is_number(gain.p) else f"({value})"
    low, high = gain.difference.low, gain.difference.high
    lines = [value, f"[{100 * low:+.1f}, {100 * high:+.1f}]"] if is_number(low) else [value]
    if is_number(gain.share.value) and gain.share.value > 0:
        lines.append(f"{100 * gain.share.value:.0f}% left")
    return "\n".join(lines)


def _heat_map(
    axes: Axes,
    down: Sequence[str],
    across: Sequence[str],
    cells: dict[tuple[str, str], tuple[float, str]],
    title: str,
    colours: str,
) -> None:
    values: npt.NDArray[np.float64] = np.full((len(down), len(across)), np.nan)
    for (row, column), (value, _) in cells.items():
        values[down.index(row), across.index(column)] = 100 * value
    most = float(np.nanmax(np.abs(values)))
    least = -most if colours == "RdBu" else 0.0
    image = axes.imshow(values, cmap=colours, vmin=least, vmax=most or 1.0, aspect="auto")
    for (row, column), (_, text) in cells.items():
        place = across.index(column), down.index(row)
        shade = image.cmap(image.norm(values[place[1], place[0]]))
        dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 0.5
        axes.annotate(text, place, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.set_xticks(range(len(across)), [short(name, 24) for name in across], rotation=25, ha="right")
    axes.set_yticks(range(len(down)), [short(name, 24) for name in down])
    axes.tick_params(length=0, labelsize=8)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_parse_math(False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=9)
