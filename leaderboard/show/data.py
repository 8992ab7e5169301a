"""Tables as data, numbers unrounded: CSV and JSON."""

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Any

from zapbench.leaderboard.decide.metrics import FINAL
from zapbench.leaderboard.decide.rows import Row, is_number
from zapbench.leaderboard.decide.sentence import findings, sentence
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import COLUMNS, REQUESTED, column_named, record
from zapbench.leaderboard.show.lines import grid_records
from zapbench.leaderboard.show.view import VIEW, View

SCHEMA = 2
"""Of the JSON. 2: `left_out` is `excluded`, `papers_u_over_trials` is `mann_whitney_p`."""


_FORMULA = re.compile(r"^\s*[=+\-@＝＋－＠]|^[\t\r]", re.MULTILINE)
"""How a formula begins: full-width signs are signs to some spreadsheets, too."""


def to_csv(tables: Sequence[Table], view: View = VIEW) -> str:
    """Returns all tables as one CSV: every value, or those of the columns that are asked for."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    rows = [(table, _values(table, row, view)) for table in tables for row in view.rows_of(table)]
    if rows:
        writer.writerow(["scenario", "protocol", "fingerprint", *rows[0][1]])
    for table, values in rows:
        cells = [table.scenario, table.protocol, table.fingerprint, *values.values()]
        writer.writerow([_csv(cell) for cell in cells])
    return buffer.getvalue()


def _csv(cell: Any) -> Any:
    """Keeps a spreadsheet from reading a name as a formula."""
    if isinstance(cell, str) and _FORMULA.search(cell):
        return f"'{cell}"
    return "" if cell is None else cell


def to_json(tables: Sequence[Table], problems: Sequence[str] = (), view: View = VIEW) -> str:
    """Returns all tables, pairs, notes and what was excluded as JSON with a schema number."""
    document = {"schema": SCHEMA, "excluded": list(problems), "tables": [_table(table, view) for table in tables]}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _table(table: Table, view: View) -> dict[str, Any]:
    return {
        **({"title": view.title} if view.title else {}),
        **({"metric": table.metric.name} if table.metric is not FINAL else {}),
        "scenario": table.scenario,
        "protocol": table.protocol,
        "fingerprint": table.fingerprint,
        "chance": table.chance if is_number(table.chance) else None,
        "rows": [_values(table, row, view) for row in view.rows_of(table)],
        "pairs": [
            vars(pair) | {"significant": pair.significant, "mann_whitney_p": table.papers[pair.first, pair.second]}
            for pair in table.pairs
        ],
        "selection": {name: grid_records(choice) for name, choice in sorted(table.choices.items())},
        "sentence": sentence(table),
        "findings": findings(table),
        "notes": table.notes,
        "common_bindings": list(table.common),
    }


def _values(table: Table, row: Row, view: View) -> dict[str, Any]:
    values = record(row)
    is_final = table.metric is FINAL
    known = [column for column in COLUMNS if not column.on_request or column in REQUESTED]
    every = known if is_final else [*known, column_named("scored")]
    columns = view.columns_of(table, every)
    fields = list(dict.fromkeys(field for column in columns for field in column.fields))
    return {field: values[field] for field in dict.fromkeys(fields)}
