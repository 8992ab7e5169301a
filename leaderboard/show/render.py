"""Tables as text: for the terminal, Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from zapbench.leaderboard.decide.overview import Overview, overviews
from zapbench.leaderboard.decide.select import Chosen
from zapbench.leaderboard.decide.tables import Row, Table, is_number, sentence

SCHEMA = 1
ABSENT = "–"


def percent(value: float) -> str:
    """Returns a share as a percentage with one decimal."""
    return f"{100 * value:.1f}" if is_number(value) else ABSENT


def count(value: float) -> str:
    """Returns a large number rounded to a whole one."""
    return f"{value:,.0f}" if is_number(value) else ABSENT


def overview_lines(overview: Overview) -> list[list[str]]:
    """Returns an overview as rows of cells, the heading first."""
    ranked = bool(overview.average_ranks)
    rows = [["method", *overview.scenarios, *(["average rank"] if ranked else [])]]
    for name, cells in overview.cells.items():
        shown = [ABSENT if cell is None else percent(cell) for cell in cells]
        rank = overview.average_ranks.get(name)
        rows.append([name, *shown, *([ABSENT if rank is None else f"{rank:.2f}"] if ranked else [])])
    return rows


def selection_lines(table: Table) -> list[str]:
    """Returns the grid that each method was chosen from, a line a setting, the chosen value starred."""
    lines = []
    for name, choice in sorted(table.choices.items()):
        for (_, setting), cells in choice.grid.sort_values("rate").groupby(["config_hash", "setting"], sort=False):
            shown = [
                f"{cell['rate']:g}: {percent(cell['accuracy'])}" + ("*" if _is_chosen(cell, choice) else "")
                for cell in cells.to_dict("records")
            ]
            lines.append(f"{name}{f' {setting}' if setting else ''}: {', '.join(shown)}")
    return lines


def _grid(choice: Chosen) -> list[dict[str, Any]]:
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
    return bool(cell["config_hash"] == choice.config_hash and cell["rate"] == choice.rate)


def interval(row: Row) -> str:
    """Returns mean and 95% interval in percent, clipped to what an accuracy can be."""
    estimate = row.held_out
    if not is_number(estimate.low):
        return percent(estimate.mean)
    low, high = max(0.0, estimate.low), min(1.0, estimate.high)
    return f"{percent(estimate.mean)} [{percent(low)}, {percent(high)}]"


COLUMNS: dict[str, Callable[[Row], str]] = {
    "rank": lambda row: ABSENT if row.rank is None else str(row.rank),
    "method": lambda row: row.method,
    "held-out % [95%]": interval,
    "same": lambda row: row.letters or ABSENT,
    "trained-on %": lambda row: percent(row.trained_on),
    "forgetting %": lambda row: percent(row.forgetting),
    "validation %": lambda row: percent(row.validation),
    "rate": lambda row: f"{row.rate:g}",
    "setting": lambda row: row.setting or ABSENT,
    "tried": lambda row: str(row.settings_tried),
    "seeds": lambda row: str(row.held_out.seeds),
    "area %": lambda row: percent(row.area),
    "parameters": lambda row: f"{row.parameters:,}" if row.parameters else ABSENT,
    "gradient steps": lambda row: count(row.gradient_steps),
    "images seen": lambda row: count(row.images_seen),
    "pre-training s": lambda row: count(row.seconds),
    "transfer s": lambda row: f"{row.transfer_seconds:.1f}" if is_number(row.transfer_seconds) else ABSENT,
    "memory MB": lambda row: count(row.memory / 1e6),
    "encoder": lambda row: row.encoder or ABSENT,
    "trials": lambda row: f"{row.trials}" + (f" ({row.diverged} diverged)" if row.diverged else ""),
}


def footer(table: Table) -> list[str]:
    """Returns the lines under a table: what can be told apart, and the notes."""
    lines = [sentence(table), f"Chance is {percent(table.chance)}%. Fingerprint {table.fingerprint}."]
    return lines + table.notes


def columns_of(table: Table) -> dict[str, Callable[[Row], str]]:
    """Returns the columns that say something: `setting` only where something was tuned."""
    tuned = any(row.setting for row in table.rows)
    return {name: cell for name, cell in COLUMNS.items() if name != "setting" or tuned}


def to_terminal(tables: list[Table], console: Console) -> None:
    """Prints tables; where the terminal is too narrow, the columns in `EXPENDABLE` go first, and it says so."""
    for table in tables:
        shown, left_out = _fitting(table, console.width)
        grid = RichTable(title=Text(table.title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for name in shown:
            text_like = name in ("method", "setting", "same")
            grid.add_column(name, justify="left" if text_like else "right", no_wrap=name != "method", overflow="fold")
        for row in table.rows:
            grid.add_row(*(Text(cell(row)) for cell in shown.values()))
        console.print(grid if table.rows else Text(table.title, style="bold"))
        for line in footer(table):
            console.print(Text(line))
        if grid_lines := selection_lines(table):
            console.print(Text("Chosen (*) on selection trials, held-out % by rate:"))
            for line in grid_lines:
                console.print(Text(f"  {line}"))
        if left_out:
            console.print(Text(f"Left out for width: {', '.join(left_out)}; --format md shows all."), style="dim")
        console.print()
    for overview in overviews(tables):
        heading, *rows = overview_lines(overview)
        title = Text(f"{overview.protocol}: held-out % on every data set")
        grid = RichTable(*heading, title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for cells in rows:
            grid.add_row(*map(Text, cells))
        console.print(grid)
        console.print(Text(overview.note))


COSTS = (
    "encoder",
    "memory MB",
    "transfer s",
    "pre-training s",
    "images seen",
    "gradient steps",
    "parameters",
)
"""Columns that a printed table leaves out, and a narrow terminal first."""

EXPENDABLE = (
    *COSTS,
    "area %",
    "tried",
    "trained-on %",
    "validation %",
    "setting",
    "trials",
    "forgetting %",
    "seeds",
    "rate",
)


def _fitting(table: Table, width: int) -> tuple[dict[str, Callable[[Row], str]], list[str]]:
    """Returns the columns that fit a width, and the names of those that do not."""
    columns = columns_of(table)
    widths = {name: 3 + max(map(len, [name, *(cell(row) for row in table.rows)])) for name, cell in columns.items()}
    left_out = []
    for name in EXPENDABLE:
        if sum(widths[n] for n in columns) + 2 <= width:
            break
        if columns.pop(name, None) is not None:
            left_out.append(name)
    return columns, left_out


def to_markdown(tables: list[Table], problems: Sequence[str] = ()) -> str:
    """Returns tables in Markdown, and below them the files that were left out."""
    parts = []
    for table in tables:
        columns = columns_of(table)
        lines = [f"### {_markdown(table.title)}", "", "| " + " | ".join(columns) + " |"]
        lines.append("|" + "|".join(" --- " if name in ("method", "setting") else " ---: " for name in columns) + "|")
        lines += ["| " + " | ".join(_markdown(cell(row)) for cell in columns.values()) + " |" for row in table.rows]
        lines += ["", *(f"- {_markdown(line)}" for line in footer(table))]
        if grid := selection_lines(table):
            lines += ["", "Chosen (*) on selection trials, held-out % by rate:", ""]
            lines += [f"- {_markdown(line)}" for line in grid]
        parts.append("\n".join(lines) + "\n")
    for overview in overviews(tables):
        heading, *rows = overview_lines(overview)
        lines = [f"### {_markdown(overview.protocol)}: held-out % on every data set", ""]
        lines += [f"| {' | '.join(map(_markdown, heading))} |", "|" + " --- |" * len(heading)]
        lines += [f"| {' | '.join(map(_markdown, cells))} |" for cells in rows]
        parts.append("\n".join([*lines, "", overview.note]) + "\n")
    if problems:
        parts.append("\n".join(["Left out:", "", *(f"- {_markdown(problem)}" for problem in problems)]) + "\n")
    return "\n".join(parts)


def _markdown(text: str) -> str:
    flat = " ".join(text.split())
    for mark in ("\\", "|", "*", "`", "<"):
        flat = flat.replace(mark, f"\\{mark}")
    return flat.replace("](", "]\\(")  # no link, no image


def to_latex(tables: list[Table]) -> str:
    """Returns tables in LaTeX, for the package booktabs."""
    parts = []
    for table in tables:
        columns = {name: cell for name, cell in columns_of(table).items() if name not in COSTS}
        layout = "".join("l" if name in ("method", "setting", "same") else "r" for name in columns)
        lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
        lines.append(" & ".join(_latex(name) for name in columns) + r" \\")
        lines.append(r"\midrule")
        lines += [" & ".join(_latex(cell(row)) for cell in columns.values()) + r" \\" for row in table.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines.append(rf"\caption{{{_latex(f'{table.title}. {sentence(table)}')}}}")
        parts.append("\n".join([*lines, r"\end{table}"]) + "\n")
    return "\n".join(parts)


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def to_csv(tables: list[Table]) -> str:
    """Returns all tables as one CSV with numbers unrounded."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    rows = [(table, record) for table in tables for record in _records(table)]
    header = ["scenario", "protocol", "fingerprint"]
    if rows:
        writer.writerow([*header, *rows[0][1]])
    for table, record in rows:
        cells = [table.scenario, table.protocol, table.fingerprint, *record.values()]
        writer.writerow([_csv(cell) for cell in cells])
    return buffer.getvalue()


def _csv(cell: Any) -> Any:
    """Keeps a spreadsheet from taking a name for a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return "" if cell is None else cell


def to_json(tables: list[Table], problems: Sequence[str] = ()) -> str:
    """Returns all tables, pairs, notes and what was left out as JSON with a schema number."""
    whole = {
        "schema": SCHEMA,
        "left_out": list(problems),
        "tables": [
            {
                "scenario": table.scenario,
                "protocol": table.protocol,
                "fingerprint": table.fingerprint,
                "chance": table.chance if is_number(table.chance) else None,
                "rows": _records(table),
                "pairs": [
                    vars(pair)
                    | {"significant": pair.significant, "papers_u_over_trials": table.papers[pair.first, pair.second]}
                    for pair in table.pairs
                ],
                "selection": {name: _grid(choice) for name, choice in sorted(table.choices.items())},
                "sentence": sentence(table),
                "notes": table.notes,
            }
            for table in tables
        ],
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def _records(table: Table) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and not is_number(value) else value

    records = []
    for row in table.rows:
        record = {key: value for key, value in vars(row).items() if key != "held_out"}
        estimate = {
            "mean": "held_out",
            "low": "low",
            "high": "high",
            "seeds": "seeds",
            "spread": "seed_spread",
        }
        record |= {name: getattr(row.held_out, key) for key, name in estimate.items()}
        records.append({key: plain(value) for key, value in record.items()})
    return records
