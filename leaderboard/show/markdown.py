"""Tables in Markdown."""

import re
from collections.abc import Sequence

from zapbench.leaderboard.decide.overview import Overview, overviews
from zapbench.leaderboard.decide.sentence import findings, sentence
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.lines import (
    footer,
    overview_lines,
    overview_title,
    selection_heading,
    selection_lines,
    shared_bindings,
)
from zapbench.leaderboard.show.view import VIEW, View, best_rows
from zapbench.text import one_line


def to_markdown(tables: Sequence[Table], problems: Sequence[str] = (), view: View = VIEW) -> str:
    """Returns tables in Markdown, and below them the files that were excluded."""
    parts = [*(_table(table, view) for table in tables), *map(_overview, overviews(list(tables)))]
    if problems:
        parts.append(["Excluded:", "", *(f"- {escape(problem)}" for problem in problems)])
    return "\n".join("\n".join(lines) + "\n" for lines in parts)


def _table(table: Table, view: View) -> list[str]:
    columns = view.columns_of(table)
    best = {column.key: best_rows(table, column) if view.bold else () for column in columns}
    shared = [escape(line), ""] if (line := shared_bindings(table)) else []
    lines = [f"### {escape(view.heading(table))}", "", *shared, _row([column.label for column in columns])]
    lines.append("|" + "|".join(" --- " if column.align == "left" else " ---: " for column in columns) + "|")
    for row in view.rows_of(table):
        cells = [(escape(column.cell(row)), row.method in best[column.key]) for column in columns]
        lines.append(f"| {' | '.join(f'**{cell}**' if is_best else cell for cell, is_best in cells)} |")
    lines += ["", f"- {escape(sentence(table))}", *(f"  - {escape(line)}" for line in findings(table))]
    lines += [f"- {escape(line)}" for line in footer(table)]
    if selected := selection_lines(table):
        lines += ["", escape(selection_heading(table), keep="*"), "", *(f"- {escape(line)}" for line in selected)]
    return lines


def _overview(overview: Overview) -> list[str]:
    heading, *rows = overview_lines(overview)
    lines = [f"### {escape(overview_title(overview))}", "", _row(heading), "| --- |" + " ---: |" * (len(heading) - 1)]
    return [*lines, *map(_row, rows), "", escape(overview.note)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"


def escape(text: str, *, keep: str = "") -> str:
    """Returns a text in one line without any mark of Markdown in force, but those in `keep`."""
    flat = one_line(text)
    for mark in ("\\", "|", "*", "`", "<"):
        if mark not in keep:
            flat = flat.replace(mark, f"\\{mark}")
    return re.sub(r"\]([(\[:])", r"]\\\1", flat)  # no link, no image, no definition of one
