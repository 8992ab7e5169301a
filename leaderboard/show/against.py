"""The answer to "is mine better?": a sentence, a table in a terminal, a picture."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.against import ALIKE, BETTER, UNKNOWN, WORSE, Against
from zapbench.leaderboard.decide.power import MOST_SEEDS
from zapbench.leaderboard.decide.rows import Row
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import ABSENT, interval
from zapbench.leaderboard.show.drawing import COLOURS, short
from zapbench.text import in_words, one_line

COLOUR = {BETTER: COLOURS[2], WORSE: COLOURS[1], ALIKE: "#777777"}
WIDE = 100
"""Columns of a terminal from which the references' own scores are shown, too."""
MARK = {BETTER: "^", WORSE: "v", ALIKE: "o"}


def answer(table: Table, found: Sequence[Against]) -> list[str]:
    """Returns a sentence for each of the methods asked about.

    Args:
        table: holds their rows.
        found: their comparisons.
    """
    rows = {row.method: row for row in table.rows}
    count = sum(one.verdict != UNKNOWN for one in found)
    test = f"Welch's t-test on seed means, 5%, Holm-adjusted over {count} comparison{'s' if count > 1 else ''}"
    return [
        one_line(f"{mine} ({table.title}): {_sentence(rows[mine], [one for one in found if one.mine == mine], test)}")
        for mine in dict.fromkeys(one.mine for one in found)
    ]


def _sentence(row: Row, own: Sequence[Against], test: str) -> str:
    parts = []
    for verdict, words in ((BETTER, "better than"), (WORSE, "worse than"), (ALIKE, "not significantly different from")):
        if names := [one.reference for one in own if one.verdict == verdict]:
            parts.append(f"{words} {in_words(names)}")
    if not parts:
        least = compare.LEAST_SEEDS
        return f"{interval(row)}% held out. Nothing can be said: a comparison takes {least} pre-training seeds of both."
    undecided = [one for one in own if one.verdict == ALIKE]
    seeds = f" With as many seeds it would be decided: {_needed(undecided)}." if undecided else ""
    return f"{interval(row)}% held out; {'; '.join(parts)} ({test}).{seeds}"


def _needed(undecided: Sequence[Against]) -> str:
    return ", ".join(f"{one.reference} {_seeds(one)}" for one in undecided)


def _seeds(one: Against) -> str:
    if one.verdict != ALIKE:
        return ABSENT
    return f"more than {MOST_SEEDS}" if one.seeds is None else str(one.seeds)


def print_against(table: Table, found: Sequence[Against], console: Console) -> None:
    """Prints the comparisons of a table, and what their columns mean."""
    rows = {row.method: row for row in table.rows}
    wide = console.width >= WIDE
    for mine in dict.fromkeys(one.mine for one in found):
        title = Text(one_line(f"{table.title}: {mine}, {interval(rows[mine])}%"))
        grid = RichTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        grid.add_column("reference", overflow="fold")
        for heading in ("held-out % [95% CI]", "difference [95% CI]", "p") if wide else ("difference [95% CI]", "p"):
            grid.add_column(heading, justify="right", no_wrap=True)
        grid.add_column("mine is")
        grid.add_column("seeds", justify="right")
        for one in found:
            if one.mine == mine:
                score = [interval(rows[one.reference])] if wide else []
                cells = (one.reference, *score, _difference(one), _p(one), one.verdict, _seeds(one))
                grid.add_row(*(Text(one_line(cell)) for cell in cells))
        console.print(grid)


def _p(one: Against) -> str:
    if math.isnan(one.adjusted):
        return ABSENT
    return "<0.001" if one.adjusted < 0.001 else f"{one.adjusted:.3f}"


def _difference(one: Against) -> str:
    if math.isnan(one.low):
        return f"{100 * one.difference:+.1f}"
    return f"{100 * one.difference:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"


MEANING = (
    "difference: mine minus the reference, in points; p: adjusted; seeds: pre-training seeds of each method that find "
    "a difference as large as the one observed with 80% power."
)
"""What the columns mean."""


def picture(table: Table, found: Sequence[Against]) -> Figure:
    """Draws the difference from each reference, with its 95% interval; shape and colour say the verdict."""
    mine = list(dict.fromkeys(one.mine for one in found))
    lines = [one for name in mine for one in found if one.mine == name]
    figure = Figure(figsize=(7.2, 1.5 + 0.3 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="black", linewidth=1)
    for place, one in enumerate(lines):
        colour = COLOUR.get(one.verdict, "black")
        if not math.isnan(one.low):
            axes.plot([100 * one.low, 100 * one.high], [place, place], color=colour, linewidth=2)
        axes.plot([100 * one.difference], [place], MARK.get(one.verdict, "x"), color=colour, markersize=7)
    names = [f"{one.mine} − {one.reference}" if len(mine) > 1 else one.reference for one in lines]
    axes.set_yticks(range(len(lines)), [short(name) for name in names], parse_math=False, fontsize=8)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("difference in held-out accuracy (points) and its 95% interval")
    subject = f"{mine[0]} minus the references" if len(mine) == 1 else "differences"
    axes.set_title(short(f"{table.title}: {subject}", 90), fontsize=10, parse_math=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    verdicts = [verdict for verdict in (BETTER, ALIKE, WORSE) if any(one.verdict == verdict for one in found)]
    keys = [Line2D([], [], color=COLOUR[v], marker=MARK[v], linewidth=2, label=v) for v in verdicts]
    if keys:
        figure.legend(handles=keys, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure
