"""What all figures share: colours, names, titles, and files that are the same bytes for the same logs.

Colours are Okabe and Ito's, which colour-blind readers can distinguish, and line styles change with them. A file holds
no date and no random ids.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zapbench.leaderboard.decide.tables import Table
from zapbench.text import one_line

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito (2008), *Color Universal Design*; black is kept for bounds."""
STYLES = ("-", "--", "-.", (0, (1, 1.2)))
"""Four, so that colour and style together repeat after 28 methods only."""
BOUND_STYLES = ((0, (5, 3)), (0, (2, 1)), (0, (4, 1, 1, 1)))
LONGEST_NAME = 60
_BRACKETS = re.compile(r"\[.*\]")
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}


def places(tables: Sequence[Table]) -> dict[str, int]:
    """Returns method -> its place among colours and styles, or bounds': a method looks the same in all tables."""
    rows = [(row.method, row.method in table.bounds) for table in tables for row in table.rows]
    kinds = [dict.fromkeys(name for name, bound in rows if bound is kind) for kind in (True, False)]
    return {name: place for names in kinds for place, name in enumerate(names)}


def save(figure: Figure, path: Path) -> None:
    """Writes a figure; the ending of the path says the format. The same figure gives the same bytes."""
    settings = {"svg.hashsalt": "zapbench", "pdf.fonttype": 42}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may hold letters that the font lacks
        figure.savefig(path, dpi=200, metadata=_UNDATED.get(path.suffix.removeprefix(".")))


def titled(axes: Axes, table: Table) -> None:
    """Sets the title: the table, and the bindings that all its rows share."""
    _, shared = without_shared([row.method for row in table.rows])
    title = short(table.title)
    axes.set_title(f"{title}\n{short(shared)}" if shared else title, fontsize=10, parse_math=False)


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
