"""How a table is printed: which columns, in which order of rows, under which title."""

from collections.abc import Sequence
from dataclasses import dataclass

from zapbench.leaderboard.decide.rows import Row
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import ABSENT, Column, column_named, columns_of


@dataclass(frozen=True)
class View:
    """What a person asked for.

    Attributes:
        columns: keys of columns, in this order; empty for those of the format.
        sort: key of the column that rows are sorted by; empty for the order of the ranking.
        title: stands before the title of each table; empty for that alone.
        bold: whether the best values of a column are bold in the terminal and in Markdown, as they are in LaTeX.

    Raises:
        ValueError: a column is unknown.
    """

    columns: tuple[str, ...] = ()
    sort: str = ""
    title: str = ""
    bold: bool = False

    def __post_init__(self) -> None:
        for name in (*self.columns, *([self.sort] if self.sort else [])):
            column_named(name)

    def heading(self, table: Table) -> str:
        """Returns the heading of a table."""
        return f"{self.title}: {table.title}" if self.title else table.title

    def columns_of(self, table: Table, default: Sequence[Column] | None = None) -> list[Column]:
        """Returns the columns of a table.

        Args:
            table: the table.
            default: those of the format, where none are asked for; None for those that hold a value.
        """
        if not self.columns:
            return list(columns_of(table) if default is None else default)
        names = self.columns if "method" in self.columns else ("method", *self.columns)
        return [column_named(name).of(table) for name in names]

    def rows_of(self, table: Table) -> list[Row]:
        """Returns the rows in the order asked for: numbers from the best, texts from A, rows without a value last."""
        if not self.sort:
            return table.rows
        column = column_named(self.sort).of(table)
        values = {row.method: column.sort_value(row) for row in table.rows}
        if any(value is not None for value in values.values()):
            sign = 1 if column.smallest_first else -1
            return sorted(table.rows, key=lambda row: _last_if_none(values[row.method], sign))
        return sorted(table.rows, key=lambda row: (column.cell(row) == ABSENT, column.cell(row)))


def _last_if_none(value: float | None, sign: int) -> tuple[bool, float]:
    return value is None, sign * (value or 0.0)


def best_rows(table: Table, column: Column) -> frozenset[str]:
    """Returns the methods with the best value of a column, as it is printed; upper bounds do not compete."""
    if not column.has_best:
        return frozenset()
    rows = [row for row in table.rows if row.method not in table.bounds and column.sort_value(row) is not None]
    if len(rows) < 2:
        return frozenset()
    values = {row.method: round(column.sort_value(row) or 0.0, 3) for row in rows}  # as it is printed
    best = (min if column.smallest_first else max)(values.values())
    return frozenset(name for name, value in values.items() if value == best)


VIEW = View()
"""What is printed where nothing is asked for."""
