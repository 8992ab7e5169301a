"""Tables in LaTeX, for the package booktabs."""

from collections.abc import Sequence

from zapbench.leaderboard.decide.sentence import sentence
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import Column, column_named, columns_of
from zapbench.leaderboard.show.lines import shared_bindings
from zapbench.leaderboard.show.view import VIEW, View, best_rows
from zapbench.text import one_line

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$",
}  # fmt: skip


def to_latex(tables: Sequence[Table], view: View = VIEW) -> str:
    """Returns tables in LaTeX, without the columns about cost unless they are asked for; the best values are bold."""
    return "\n".join(_table(table, view) for table in tables)


def _table(table: Table, view: View) -> str:
    columns = view.columns_of(table, _default(table))
    best = {column.key: best_rows(table, column) for column in columns}
    layout = "".join(column.align[0] for column in columns)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines += [_row([escape(column.label) for column in columns]), r"\midrule"]
    for row in view.rows_of(table):
        lines.append(_row([_cell(column.cell(row), row.method in best[column.key]) for column in columns]))
    bold = "Bold: the best value of a column." if any(best.values()) else ""
    parts = (view.heading(table), shared_bindings(table), _spread(columns), sentence(table).removesuffix("."), bold)
    caption = ". ".join(part for part in parts if part)
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{escape(caption)}}}", rf"\label{{{label(table)}}}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _default(table: Table) -> list[Column]:
    """Returns the columns of a printed table: mean and standard deviation stand beside the interval."""
    found = [column for column in columns_of(table) if not column.is_cost]
    place = next(number for number, column in enumerate(found) if column.fields[0] in ("held_out", "scored")) + 1
    return [*found[:place], column_named("mean_std").of(table), *found[place:]]


def _cell(text: str, is_best: bool) -> str:
    return rf"\textbf{{{escape(text)}}}" if is_best else escape(text)


def _spread(columns: Sequence[Column]) -> str:
    return "Std: between pre-training seeds" if any(column.key == "mean_std" for column in columns) else ""


def label(table: Table) -> str:
    """Returns the label of a table, by which a paper refers to it: the name of its files, as LaTeX takes it."""
    return f"tab:{table.file_name.replace('_', '-')}"


def escape(text: str) -> str:
    r"""Returns a text in one line that LaTeX prints as it is.

    >>> print(escape("a_b & 50%"))
    a\_b \& 50\%
    """
    return "".join(_ESCAPES.get(letter, letter) for letter in one_line(text))
