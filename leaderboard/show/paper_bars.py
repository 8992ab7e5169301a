"""Bars as the paper draws them: standard deviations over trials, and the p of each pair with and without zapping.

Trials of one pre-trained model are not independent, so the standard deviation over trials says little about the mean,
and the p rejects too often where seeds differ: the table's own intervals and groups stand in `bars` and `forest`.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.gains import ZAPPED
from zapbench.leaderboard.decide.rows import models_of
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show.drawing import COLOURS, short, titled, without_shared

_WIDTH = 0.38


def paper_bars(table: Table, logs: Logs) -> Figure | None:
    """Draws validation beside held-out accuracy, means and standard deviations, as in figure 3 of the paper.

    Validation varies over pre-training seeds, held-out accuracy over trials. Above a pair with and without zapping
    stands the p of Mann-Whitney's U over trials. None where nothing was compared.

    Args:
        table: of the logs.
        logs: for the trials and the pre-trained models of each method.
    """
    if not table.papers:
        return None
    own = trials_of(logs, table)
    trials = {row.method: reported(own, table.choices[row.method]) for row in table.rows}
    order = _side_by_side(trials)
    figure = Figure(figsize=(max(4.8, 1.6 + 0.9 * len(order)), 4.0), layout="constrained")
    axes = figure.add_subplot()
    for place, method in enumerate(order):
        _bar(axes, place - _WIDTH / 2, _validation(trials[method], logs), "#BBBBBB")
        _bar(axes, place + _WIDTH / 2, trials[method]["score"], COLOURS[0])
    _write_p(axes, table, trials, order)
    axes.axhline(100 * table.chance, color="black", linestyle=":", linewidth=1)
    names, _ = without_shared(order)
    axes.set_xticks(range(len(order)), [short(name, 24) for name in names], rotation=25, ha="right", parse_math=False)
    axes.set_ylabel("accuracy (%)")
    titled(axes, table)
    axes.spines[["top", "right"]].set_visible(False)
    keys: list[Patch | Line2D] = [
        Patch(facecolor="#BBBBBB", edgecolor="black", label="validation (pre-training), deviation over seeds"),
        Patch(facecolor=COLOURS[0], edgecolor="black", label="held-out (transfer), deviation over trials"),
        Line2D([], [], color="black", linewidth=0.8, label="p: Mann-Whitney U over trials"),
        Line2D([], [], color="black", linestyle=":", linewidth=1, label="chance"),
    ]
    figure.legend(handles=keys, fontsize=8, frameon=False, loc="outside lower center", ncols=2)
    return figure


def _side_by_side(trials: dict[str, pd.DataFrame]) -> list[str]:
    """Returns the methods, best first, each beside its partner with or without zapping."""
    pairs = {name: couple for couple in _couples(trials) for name in couple}
    return list(dict.fromkeys(name for method in trials for name in pairs.get(method, (method,))))


def _couples(trials: dict[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """Returns the pairs (without zapping, with it) of methods whose names differ in zapping alone."""
    strategies = {name: str(rows.iloc[0]["strategy"]) for name, rows in trials.items() if len(rows)}
    zapped = {name: name.replace(own, own + ZAPPED, 1) for name, own in strategies.items()}
    return [(name, other) for name, other in zapped.items() if other in strategies]


def _validation(trials: pd.DataFrame, logs: Logs) -> pd.Series:
    return logs.runs[models_of(logs.runs, trials)]["validation"].dropna()


def _bar(axes: Axes, place: float, values: pd.Series, colour: str) -> None:
    if len(values):
        spread = 100 * float(np.std(values, ddof=1)) if len(values) > 1 else None
        height = 100 * float(np.mean(values))
        axes.bar(place, height, _WIDTH, color=colour, edgecolor="black", linewidth=0.6, yerr=spread, capsize=2)


def _write_p(axes: Axes, table: Table, trials: dict[str, pd.DataFrame], order: list[str]) -> None:
    """Draws a bracket with the p of each pair above its bars."""
    top = axes.dataLim.y1 + 4
    for couple in _couples(trials):
        p = table.papers.get(couple, table.papers.get(couple[::-1]))
        if p is None:
            continue
        left, right = sorted(order.index(name) + _WIDTH / 2 for name in couple)
        axes.plot([left, left, right, right], [top, top + 2, top + 2, top], color="black", linewidth=0.8)
        words = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
        axes.annotate(words, ((left + right) / 2, top + 2), (0, 2), textcoords="offset points", ha="center", fontsize=8)
    axes.set_ylim(0, top + 10)
