"""Tables in LaTeX, for the package booktabs."""

from collections.abc import Sequence

from zapbench.leaderboard.decide.sentence import sentence
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import columns_of
from zapbench.leaderboard.show.lines import shared_bindings
from zapbench.text import one_line

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
}  # fmt: skip


def to_latex(tables: Sequence[Table]) -> str:
    """Returns tables in LaTeX, without the columns about cost."""
    return "\n".join(map(_table, tables))


def _table(table: Table) -> str:
    columns = [column for column in columns_of(table) if not column.is_cost]
    layout = "".join(column.align[0] for column in columns)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines += [_row([column.label for column in columns]), r"\midrule"]
    lines += [_row([column.cell(row) for column in columns]) for row in table.rows]
    caption = ". ".join(part for part in (table.title, shared_bindings(table), sentence(table)) if part)
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{escape(caption)}}}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def escape(text: str) -> str:
    r"""Returns a text in one line that LaTeX prints as it is.

    >>> print(escape("a_b & 50%"))
    a\_b \& 50\%
    """
    return "".join(_ESCAPES.get(letter, letter) for letter in one_line(text))
