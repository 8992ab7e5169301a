"""What stands under and beside a table, line by line: the finding, notes, the tuning grid, several data sets."""

from collections.abc import Mapping
from typing import Any

from zapbench.leaderboard.decide.overview import Overview
from zapbench.leaderboard.decide.select import Chosen
from zapbench.leaderboard.decide.sentence import sentence
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.columns import ABSENT, percent


def shared_bindings(table: Table) -> str:
    """Returns the line above a table: the bindings that all its rows share; empty where there are none."""
    return f"All rows: {', '.join(table.common)}" if table.common else ""


def footer(table: Table) -> list[str]:
    """Returns the lines under a table: which methods differ significantly, chance, and the notes."""
    lines = [sentence(table), f"Chance is {percent(table.chance)}%. Fingerprint {table.fingerprint}."]
    return lines + table.notes


def selection_heading(table: Table) -> str:
    """Returns what stands above `selection_lines`: on which trials settings and rates were selected."""
    on_reported = any(choice.by == "paper" for choice in table.choices.values())
    trials = "the reported trials (as in the paper)" if on_reported else "selection trials"
    return f"Selected (*) on {trials}, held-out % by rate:"


def selection_lines(table: Table) -> list[str]:
    """Returns the grid that each method was selected from, a line a setting, the selected value starred."""
    lines = []
    for name, choice in sorted(table.choices.items()):
        for (_, setting), cells in choice.grid.sort_values("rate").groupby(["candidate", "setting"], sort=False):
            shown = [
                f"{cell['rate']:g}: {percent(cell['accuracy'])}" + ("*" if _is_chosen(cell, choice) else "")
                for cell in cells.to_dict("records")
            ]
            lines.append(f"{name}{f' {setting}' if setting else ''}: {', '.join(shown)}")
    return lines


def grid_records(choice: Chosen) -> list[dict[str, Any]]:
    """Returns the same grid as records, best first."""
    return [
        {
            "setting": str(cell["setting"]),
            "rate": float(cell["rate"]),
            "accuracy": float(cell["accuracy"]),
            "seeds": int(cell["seeds"]),
            "chosen": _is_chosen(cell, choice),
        }
        for cell in choice.grid.to_dict("records")
    ]


def _is_chosen(cell: Mapping[Any, Any], choice: Chosen) -> bool:
    return bool(cell["candidate"] == choice.candidate and cell["rate"] == choice.rate)


def overview_title(overview: Overview) -> str:
    """Returns the heading of several data sets side by side."""
    return f"{overview.protocol}: held-out % on every data set"


def overview_lines(overview: Overview) -> list[list[str]]:
    """Returns an overview as rows of cells, the heading first."""
    ranked = bool(overview.average_ranks)
    rows = [["method", *overview.scenarios, *(["average rank"] if ranked else [])]]
    for name, cells in overview.cells.items():
        shown = [ABSENT if cell is None else percent(cell) for cell in cells]
        rank = overview.average_ranks.get(name)
        rows.append([name, *shown, *([ABSENT if rank is None else f"{rank:.2f}"] if ranked else [])])
    return rows
