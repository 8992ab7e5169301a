"""What the page's templates and script get: cells, curves and texts as plain values."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.curves import Curve, step_name, trials_of
from zapbench.leaderboard.decide.overview import Overview
from zapbench.leaderboard.decide.relations import compared, differences
from zapbench.leaderboard.decide.rows import Row, is_number
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.sentence import sentence
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.parse import config_of
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show.columns import Column, columns_of, percent
from zapbench.leaderboard.show.kinds import KINDS
from zapbench.leaderboard.show.lines import (
    footer,
    overview_lines,
    overview_title,
    selection_heading,
    selection_lines,
    shared_bindings,
)

SHOWN = ("forest", "cost", "classes")
"""Figures that stand in the page; trajectories are drawn by its script, and the matrix is a table."""

LONGEST_CONFIG = 50_000
"""Characters of a configuration that a method's page shows."""


def page_names(methods: Sequence[str]) -> dict[str, str]:
    """Returns method -> file name of its page, all different also where case does not count.

    >>> page_names(["asb_zap", "../x"])
    {'asb_zap': 'asb_zap.html', '../x': 'x-d6b96a97d147daaa.html'}
    """
    found = {}
    for name in methods:
        letters = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:60]
        plain = letters == name and "-" not in name  # a name with a mark would be the page of another method
        mark = "" if plain else f"-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        found[name] = f"{letters}{mark}.html"
    return found


def table_data(
    table: Table,
    drawn: Sequence[Curve],
    pages: Mapping[str, str],
    own: Mapping[str, int],
    figures: Collection[str],
    audited: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    """Returns a table of the index.

    Args:
        table: the table.
        drawn: its curves.
        pages: method -> file name of its page.
        own: method -> its place among colours and styles.
        figures: names of the files that were drawn.
        audited: (fingerprint, method) -> what an audit confirmed.
    """
    columns = columns_of(table, every=True)
    name = table.file_name
    return {
        "id": name,
        "title": table.title,
        "shared": shared_bindings(table),
        "sentence": sentence(table),
        "notes": footer(table),
        "selection_heading": selection_heading(table),
        "selection": selection_lines(table),
        "columns": [
            {"name": column.label, "class": _class(column), "smallest_first": column.smallest_first}
            for column in columns
        ],
        "rows": [
            {
                "bound": row.method in table.bounds,
                "cells": [_cell(column, row, pages) for column in columns],
                "audited": audited.get((table.fingerprint, row.method), ""),
            }
            for row in table.rows
        ],
        "figures": {kind: f"figures/{name}-{kind}.svg" for kind in KINDS if f"{name}-{kind}.svg" in figures},
        "shown": {kind: what for kind, what in KINDS.items() if kind in SHOWN and f"{name}-{kind}.svg" in figures},
        "matrix": _matrix(table, pages),
        "plot": _plot(table, drawn, own, "means over pre-training seeds; bands are 95% t intervals."),
    }


def _matrix(table: Table, pages: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns who is significantly above whom: a row a method, a cell for each other one."""
    order, known = compared(table), differences(table)
    return [
        {
            "name": first,
            "href": f"methods/{pages[first]}",
            "cells": [_compared(*known[first, second]) if first != second else None for second in order],
        }
        for first in order
    ]


def _compared(difference: float, significant: bool) -> dict[str, str]:
    return {
        "text": f"{round(100 * difference, 1):+.1f}" if round(100 * difference, 1) else "0.0",
        "class": ("above" if difference > 0 else "below") if significant else "alike",
    }


def _cell(column: Column, row: Row, pages: Mapping[str, str]) -> dict[str, str]:
    value = column.sort_value(row)
    return {
        "text": column.cell(row),
        "class": _class(column),
        "value": "" if value is None else repr(value),
        "href": f"methods/{pages[row.method]}" if column.fields == ("method",) else "",
    }


def _class(column: Column) -> str:
    return " ".join(["text"] * (column.align == "left") + ["more"] * column.is_detail)


def overview_data(overview: Overview) -> dict[str, Any]:
    """Returns several data sets side by side."""
    heading, *rows = overview_lines(overview)
    return {"title": overview_title(overview), "heading": heading, "rows": rows, "note": overview.note}


def method_data(table: Table, row: Row, drawn: Sequence[Curve], logs: Logs) -> dict[str, Any]:
    """Returns what the page of a method shows of one table.

    Args:
        table: the table.
        row: the method's.
        drawn: the table's curves.
        logs: for its seeds, trials and configurations.
    """
    trials = trials_of(logs, table)
    own = reported(trials[trials["method"] == row.method], table.choices[row.method])
    return {
        "id": table.file_name,
        "title": table.title,
        "facts": [
            (column.label, column.cell(row)) for column in columns_of(table, every=True) if column.fields != ("method",)
        ],
        "plot": _seed_plot(table, [curve for curve in drawn if curve.method == row.method]),
        "seeds": [
            [
                seed,
                percent(float(rows["score"].mean())),
                len(rows),
                int((rows["status"] == contract.DIVERGED).sum()),
            ]
            for seed, rows in own.groupby("pretrain_seed", sort=True)
        ],
        "configs": _configs(own, logs),
        "notes": [said for note in table.remarks if (said := note.of(row.method))],
    }


def _configs(own: pd.DataFrame, logs: Logs) -> list[dict[str, str]]:
    """Returns the configurations of the first run and its first trial: text that is shown, and never parsed."""
    first = own.sort_values(["pretrain_seed", "transfer_seed"]).iloc[0]
    runs = logs.runs
    mine = (runs["config_hash"] == first["config_hash"]) & (runs["pretrain_seed"] == first["pretrain_seed"])
    mine &= (runs["scenario"] == first["scenario"]) & (runs["weights"] == first["weights"])
    files = [("pre-training", file) for file in runs[mine]["file"].head(1)] + [("transfer", first["file"])]
    found = []
    for of, file in files:
        text = config_of(logs.path(file))
        if len(text) > LONGEST_CONFIG:
            text = f"{text[:LONGEST_CONFIG]}\n... cut: {len(text):,} characters"
        if text.strip():
            found.append({"of": f"{of} (seed {first['pretrain_seed']})", "text": text})
    return found


def _plot(table: Table, drawn: Sequence[Curve], own: Mapping[str, int], caption: str) -> dict[str, Any] | None:
    """Returns what the page's script draws: percentages at the union of all steps, None where a curve has no point."""
    if not drawn:
        return None
    steps = sorted(set().union(*(curve.steps for curve in drawn)))
    lines = []
    for curve in drawn:
        bound = curve.method in table.bounds
        low, high = ([], []) if bound else (curve.low, curve.high)
        line = _line(curve.method, _at(steps, curve.steps, curve.mean), place=own.get(curve.method, 0), plain=bound)
        lines.append(line | {"low": _at(steps, curve.steps, low), "high": _at(steps, curve.steps, high)})
    if is_number(table.chance):
        chance = [round(100 * table.chance, 3)] * len(steps)
        lines.append(_line("chance", chance, plain=True, thin=True))
    return {"x": steps, "curves": lines, "steps_are": step_name(table.protocol), "caption": caption}


def _seed_plot(table: Table, drawn: Sequence[Curve]) -> dict[str, Any] | None:
    """Returns the same for one method, with a thin line for each pre-training seed."""
    plot = _plot(table, drawn, {}, "mean over pre-training seeds with its 95% t interval, and each seed.")
    if plot is not None:
        (curve,) = drawn
        plot["curves"] += [
            _line(f"seed {seed}", _at(curve.steps, curve.steps, values), place=place, thin=True)
            for place, (seed, values) in enumerate(sorted(curve.seeds.items()), start=1)
        ]
    return plot


def _line(
    name: str, mean: Sequence[float | None], *, place: int = 0, plain: bool = False, thin: bool = False
) -> dict[str, Any]:
    return {"name": name, "place": place, "plain": plain, "thin": thin, "mean": mean, "low": [], "high": []}


def _at(steps: Sequence[int], own: Sequence[int], values: Sequence[float]) -> list[float | None]:
    if not values:
        return []
    known = dict(zip(own, values))
    return [round(100 * known[step], 3) if step in known else None for step in steps]
