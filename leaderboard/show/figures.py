"""Figures like the paper's: trajectories with bands, and bars with validation beside transfer accuracy.

Colours are Okabe and Ito's, which colour-blind readers can distinguish, and line styles change with them. The same logs
give the same bytes: no date, no random ids.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from zapbench.leaderboard.claims.judge import papers_values
from zapbench.leaderboard.decide.class_tables import dynamics_of
from zapbench.leaderboard.decide.curves import Curve, curves, step_name
from zapbench.leaderboard.decide.rows import Row, is_number
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show.dynamics import heat_maps, to_markdown
from zapbench.text import one_line

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito (2008), *Color Universal Design*; black is kept for bounds."""
STYLES = ("-", "--", "-.", (0, (1, 1.2)))
"""Four, so that colour and style together repeat after 28 methods only."""
BOUND_STYLES = ((0, (5, 3)), (0, (2, 1)), (0, (4, 1, 1, 1)))
PAPERS_MARK: dict[str, Any] = {
    "marker": "D", "markersize": 6, "markerfacecolor": "white", "markeredgecolor": "black", "linestyle": "none",
    "zorder": 4, "clip_on": False,
}  # fmt: skip
"""How a value that the paper reports is drawn."""
FORMATS = ("svg", "png", "pdf")
LONGEST_NAME = 60
_BRACKETS = re.compile(r"\[.*\]")
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}


def write_figures(
    tables: Sequence[Table],
    logs: Logs,
    folder: Path,
    formats: Sequence[str] = ("svg",),
    kinds: Sequence[str] = ("trajectories", "bars"),
) -> list[Path]:
    """Writes every table's figures into a folder and returns their paths.

    Args:
        tables: of the logs.
        logs: for the curves.
        folder: created if missing.
        formats: of `FORMATS`.
        kinds: which figures: `trajectories`, `bars`, `dynamics` (heat maps, and a table in Markdown).
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    own = places(tables)
    for table in tables:
        for kind in kinds:
            if kind == "dynamics":
                found = dynamics_of(logs, table)
                written.append(folder / f"{file_name(table)}-dynamics.md")
                written[-1].write_text(to_markdown(table.title, found), encoding="utf-8")
                figure: Figure | None = heat_maps(table.title, found)
            elif kind == "bars":
                figure = bars(table, papers_values(table, logs))
            else:
                figure = trajectories(table, curves(logs, table), own, papers_values(table, logs))
            if figure is None:
                continue
            for form in formats:
                path = folder / f"{file_name(table)}-{kind}.{form}"
                save(figure, path)
                written.append(path)
    return written


def places(tables: Sequence[Table]) -> dict[str, int]:
    """Returns method -> its place among colours and styles, or bounds': a method looks the same in all tables."""
    rows = [(row.method, row.method in table.bounds) for table in tables for row in table.rows]
    kinds = [dict.fromkeys(name for name, bound in rows if bound is kind) for kind in (True, False)]
    return {name: place for names in kinds for place, name in enumerate(names)}


def file_name(table: Table) -> str:
    """Returns the start of the names of a table's files: safe letters, and the fingerprint, which makes it unique."""
    words = re.sub(r"[^a-z0-9_]+", "-", f"{table.scenario} {table.protocol}".lower()).strip("-")[:60]
    mark = re.sub(r"[^a-z0-9]", "", table.fingerprint.lower())[:12]
    return f"{words}-{mark}"


def save(figure: Figure, path: Path) -> None:
    """Writes a figure; the ending of the path says the format. The same figure gives the same bytes."""
    settings = {"svg.hashsalt": "zapbench", "pdf.fonttype": 42}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may hold letters that the font lacks
        figure.savefig(path, dpi=200, metadata=_UNDATED.get(path.suffix.removeprefix(".")))


def trajectories(
    table: Table,
    found: Sequence[Curve],
    own: Mapping[str, int] | None = None,
    papers: Mapping[str, float] | None = None,
) -> Figure:
    """Draws held-out accuracy over classes seen (or updates): means over seeds, bands their 95% t intervals.

    Chance and upper bounds are black lines without a band. The paper's final accuracy is a diamond of the colour of
    the method's curve.

    Args:
        table: what is drawn.
        found: its curves.
        own: method -> its place among colours and styles; None for the table's order.
        papers: method -> the paper's final accuracy in percent.
    """
    own = places([table]) if own is None else own
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
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
    axes.set_xlabel(step_name(table.protocol))
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
    _, shared = without_shared([row.method for row in table.rows])
    title = f"{short(table.title)}\n{short(shared)}" if shared else short(table.title)
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)


def without_shared(names: Sequence[str]) -> tuple[list[str], str]:
    """Returns names without the bindings in brackets that all of them share, and those bindings.

    >>> without_shared(["iid[IID.epochs=2]", "asb[IID.epochs=2] + replay"])
    (['iid', 'asb + replay'], 'IID.epochs=2')
    """
    brackets = {found[0] if (found := _BRACKETS.search(name)) else "" for name in names}
    if len(brackets) != 1:
        return list(names), ""
    (shared,) = brackets
    return [name.replace(shared, "", 1) for name in names], shared[1:-1]


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """Returns a name in one line, cut where it is long."""
    flat = one_line(name)
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"
