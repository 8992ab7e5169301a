"""What stands under and beside a table, line by line: notes, the tuning grid, several data sets."""

import math
from collections.abc import Mapping
from typing import Any

from zapbench.leaderboard.decide.overview import Overview
from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.decide.select import Chosen
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import ABSENT, percent
from zapbench.text import count


def shared_bindings(table: Table) -> str:
    """Returns the line above a table: the bindings that all its rows share; empty where there are none."""
    return f"All rows: {', '.join(table.common)}" if table.common else ""


def footer(table: Table) -> list[str]:
    """Returns the lines under the findings of a table: chance, and the notes."""
    chance = f"Chance is {percent(table.chance)}%. " if is_number(table.chance) else ""
    return [f"{chance}Fingerprint {table.fingerprint}.", *table.notes]


def selection_heading(table: Table) -> str:
    """Returns what stands above `selection_lines`: on which trials settings and rates were selected."""
    on_reported = any(choice.by == "paper" for choice in table.choices.values())
    trials = "the reported trials (as in the paper)" if on_reported else "selection trials"
    return f"Selected (*) on {trials}, held-out % by rate:"


def selection_lines(table: Table) -> list[str]:
    """Returns the grid that each method was selected from, a line a setting, the selected value starred.

    Settings and rates that lack a seed of the selected one were excluded; they say how many seeds they have.
    Methods of which one setting was run, and none selected, have no line.
    """
    lines = []
    for name, choice in sorted(table.choices.items()):
        if not choice.by:
            continue
        for (_, setting), group in choice.grid.sort_values("rate").groupby(["candidate", "setting"], sort=False):
            cells = group.to_dict("records")
            lacking = {cell["seeds"] for cell in cells if not cell["complete"]}
            alike = len(lacking) == 1 and not any(cell["complete"] for cell in cells)
            whole = f" ({count(cells[0]['seeds'], 'seed')}, excluded)" if alike else ""
            shown = ", ".join(_cell(cell, choice, counted=not alike) for cell in cells)
            lines.append(f"{name}{f' {setting}' if setting else ''}{whole}: {shown}")
    return lines


def _cell(cell: Mapping[Any, Any], choice: Chosen, *, counted: bool) -> str:
    mark = "*" if _is_chosen(cell, choice) else ""
    excluded = f" ({count(cell['seeds'], 'seed')}, excluded)" if counted and not cell["complete"] else ""
    return f"{cell['rate']:g}: {percent(cell['accuracy'])}{mark}{excluded}"


def grid_records(choice: Chosen) -> list[dict[str, Any]]:
    """Returns the same grid as records, best first."""
    return [
        {
            "setting": str(cell["setting"]),
            "rate": float(cell["rate"]),
            "accuracy": float(cell["accuracy"]),
            "seeds": int(cell["seeds"]),
            "complete": bool(cell["complete"]),
            "on_shared_seeds": None if math.isnan(cell["shared"]) else float(cell["shared"]),
            "chosen": _is_chosen(cell, choice),
        }
        for cell in choice.grid.to_dict("records")
    ]


def _is_chosen(cell: Mapping[Any, Any], choice: Chosen) -> bool:
    return bool(cell["candidate"] == choice.candidate and cell["rate"] == choice.rate)


def overview_title(overview: Overview) -> str:
    """Returns the heading of several data sets side by side."""
    return f"{overview.protocol}: {overview.metric} on every data set"


def overview_lines(overview: Overview) -> list[list[str]]:
    """Returns an overview as rows of cells, the heading first."""
    ranked = bool(overview.average_ranks)
    rows = [["method", *overview.scenarios, *(["average rank"] if ranked else [])]]
    for name, cells in overview.cells.items():
        shown = [ABSENT if cell is None else percent(cell) for cell in cells]
        rank = overview.average_ranks.get(name)
        rows.append([name, *shown, *([ABSENT if rank is None else f"{rank:.2f}"] if ranked else [])])
    return rows
