"""Tables in a terminal."""

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from zapbench.leaderboard.decide.overview import Overview, overviews
from zapbench.leaderboard.decide.sentence import findings, sentence
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import Column
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

NARROW = 24
"""Characters to which a column of methods may shrink."""


def to_terminal(tables: list[Table], console: Console, view: View = VIEW) -> None:
    """Prints tables; where the terminal is too narrow, columns of high priority number are dropped and named."""
    for table in tables:
        _print_table(table, console, view)
    for overview in overviews(tables):
        _print_overview(overview, console)


def _print_table(table: Table, console: Console, view: View) -> None:
    columns, dropped = fitting(table, console.width, view)
    best = {column.key: best_rows(table, column) if view.bold else () for column in columns}
    grid = _grid(view.heading(table))
    for column in columns:
        grid.add_column(column.label, justify=column.align, no_wrap=column.label != "method", overflow="fold")
    for row in view.rows_of(table):
        grid.add_row(*(_cell(column.cell(row), row.method in best[column.key]) for column in columns))
    if shared := shared_bindings(table):
        console.print(_text(shared))
    console.print(grid if table.rows else _text(table.title))
    console.print(_text(sentence(table)))
    for line in findings(table):
        console.print(_indented(line))
    for line in footer(table):
        console.print(_text(line))
    if selected := selection_lines(table):
        console.print(Text(selection_heading(table)))
        for line in selected:
            console.print(_indented(line))
    if dropped:
        names = ", ".join(column.label for column in dropped)
        console.print(Text(f"Columns dropped to fit the width: {names}; --format md shows all.", style="dim"))
    console.print()


def _print_overview(overview: Overview, console: Console) -> None:
    heading, *rows = overview_lines(overview)
    grid = _grid(overview_title(overview))
    for place, name in enumerate(heading):
        grid.add_column(_text(name), justify="right" if place else "left")
    for cells in rows:
        grid.add_row(*map(_text, cells))
    console.print(grid)
    console.print(Text(overview.note))


def _grid(title: str) -> RichTable:
    return RichTable(title=_text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)


def _cell(text: str, is_best: bool) -> Text:
    return Text(one_line(text), style="bold" if is_best else "")


def _indented(text: str) -> Padding:
    return Padding(_text(text), (0, 0, 0, 2), expand=False)


def _text(text: str) -> Text:
    return Text(one_line(text))


def fitting(table: Table, width: int, view: View = VIEW) -> tuple[list[Column], list[Column]]:
    """Returns the columns that fit a width, and those dropped for it, the first dropped first.

    Of columns that were asked for, the last is dropped first; else the one of the highest priority number.
    """
    columns = view.columns_of(table)
    widths = {c.label: 3 + max(map(len, [c.label, *(c.cell(row) for row in table.rows)])) for c in columns}
    if view.columns:
        widths["method"] = min(widths["method"], NARROW)  # it folds
        candidates = [column for column in reversed(columns) if column.key != "method"]
    else:
        candidates = [c for c in sorted(columns, key=lambda column: -column.priority) if c.priority > 0]
    dropped = []
    for column in candidates:
        if sum(widths[kept.label] for kept in columns) + 2 <= width:
            break
        columns.remove(column)
        dropped.append(column)
    return columns, dropped
