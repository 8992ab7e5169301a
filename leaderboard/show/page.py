"""Tables as a static page: one index, a page a method, no request to any other host, right from a folder of files.

Every text goes through jinja2's autoescape, and the page's script sets text as text; a Content-Security-Policy forbids
whatever else a name might try. The same logs give the same bytes.
"""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from zapbench import __version__
from zapbench.leaderboard.decide.curves import Curve, curves, step_name, trials_of
from zapbench.leaderboard.decide.overview import overviews
from zapbench.leaderboard.decide.select import reported, score
from zapbench.leaderboard.decide.tables import Row, Table, is_number
from zapbench.leaderboard.read.load import Logs
from zapbench.leaderboard.read.parse import config_of
from zapbench.leaderboard.show.figures import file_name, places, write_figures
from zapbench.leaderboard.show.render import COSTS, columns_of, footer, overview_lines, percent, selection_lines
from zapbench.text import shown

TEMPLATES = Path(__file__).parent / "site"
ASSETS = ("style.css", "page.js", "icon.svg", "uPlot.iife.min.js", "uPlot.min.css", "uPlot-LICENSE.txt")
LONGEST_CONFIG = 50_000
_MORE = (*COSTS, "area %", "tried", "trials", "trained-on %")
"""Columns that stand behind a button, for a table is to be read on a phone."""
_EXACT = {
    "held-out % [95%]": lambda row: row.held_out.mean,
    "trained-on %": lambda row: row.trained_on,
    "forgetting %": lambda row: row.forgetting,
    "validation %": lambda row: row.validation,
    "area %": lambda row: row.area,
    "trials": lambda row: row.trials,
}
"""What a column is sorted by where its cells show less, or more, than a number."""


def write_site(tables: Sequence[Table], logs: Logs, folder: Path, out: Path) -> None:
    """Writes the page into a folder of its own; an earlier page there is replaced.

    Args:
        tables: of the logs.
        logs: for curves, seeds and what was left out.
        folder: where the logs are, for the text of their configurations.
        out: is made where it is not there.

    Raises:
        ValueError: the folder holds something else.
    """
    _clear(out)
    for name in ("assets", "methods", "figures"):
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / ".nojekyll").touch()  # GitHub Pages: serve as it is
    for name in ASSETS:
        shutil.copyfile(TEMPLATES / name, out / "assets" / name)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    write_figures(tables, logs, out / "figures")
    found = {file_name(table): curves(logs, table) for table in tables}
    own = places(tables)
    pages = page_names([row.method for table in tables for row in table.rows])
    index = environment.get_template("index.html").render(
        root="",
        version=__version__,
        title="Leaderboard",
        tables=[_table(table, found[file_name(table)], pages, own) for table in tables],
        overviews=[
            {"protocol": o.protocol, "heading": lines[0], "rows": lines[1:], "note": o.note}
            for o in overviews(list(tables))
            for lines in [overview_lines(o)]
        ],
        problems=logs.problems,
    )
    _write(out / "index.html", index)
    template = environment.get_template("method.html")
    for name, page in pages.items():
        parts = [
            _part(table, row, found[file_name(table)], logs, folder)
            for table in tables
            for row in table.rows
            if row.method == name
        ]
        _write(out / "methods" / page, template.render(root="../", version=__version__, name=name, parts=parts))


def _write(path: Path, text: str) -> None:
    path.write_text(shown(text), encoding="utf-8", newline="\n")


def _clear(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()):
        if not (out / ".nojekyll").exists() or not (out / "assets" / "page.js").exists():
            raise ValueError(f"{out} holds something else than an earlier page; give a folder of its own")
        for name in ("assets", "methods", "figures"):
            shutil.rmtree(out / name, ignore_errors=True)


def page_names(methods: Sequence[str]) -> dict[str, str]:
    """Returns method -> file name of its page, different ones also where case does not count.

    >>> page_names(["asb_zap", "../x"])
    {'asb_zap': 'asb_zap.html', '../x': 'x-d6b96a97.html'}
    """
    found = {}
    for name in methods:
        letters = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:60]
        mark = "" if letters == name else f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        found[name] = f"{letters}{mark}.html"
    return found


def _table(table: Table, found: Sequence[Curve], pages: Mapping[str, str], own: Mapping[str, int]) -> dict[str, Any]:
    columns = columns_of(table)
    name = file_name(table)
    return {
        "id": name,
        "title": table.title,
        "sentence": footer(table)[0],
        "notes": footer(table)[1:],
        "selection": selection_lines(table),
        "columns": [{"name": column, "class": _class(column)} for column in columns],
        "rows": [
            {
                "bound": row.method in table.bounds,
                "cells": [
                    {
                        "text": cell(row),
                        "class": _class(column),
                        "value": _exact(column, row),
                        "href": f"methods/{pages[row.method]}" if column == "method" else "",
                    }
                    for column, cell in columns.items()
                ],
            }
            for row in table.rows
        ],
        "figures": [f"figures/{name}-{kind}.svg" for kind in ("trajectories", "bars")],
        "plot": _plot(table, found, own, "means over pre-training seeds, bands are their 95% t intervals."),
    }


def _class(column: str) -> str:
    kinds = ["text"] if column in ("method", "setting", "same", "encoder") else []
    return " ".join([*kinds, "more"] if column in _MORE else kinds)


def _exact(column: str, row: Row) -> str:
    value = _EXACT[column](row) if column in _EXACT else None
    return repr(float(value)) if value is not None and is_number(value) else ""


def _plot(table: Table, found: Sequence[Curve], own: Mapping[str, int], caption: str) -> dict[str, Any] | None:
    """Returns what the page's script draws: percentages at the union of all steps, None where a curve has no point."""
    if not found:
        return None
    steps = sorted(set().union(*(curve.steps for curve in found)))
    drawn = []
    for curve in found:
        bound = curve.method in table.bounds
        place = own.get(curve.method, 0)
        low, high = ([], []) if bound else (curve.low, curve.high)
        ends = {"low": _at(steps, curve.steps, low), "high": _at(steps, curve.steps, high)}
        mean = _at(steps, curve.steps, curve.mean)
        drawn.append({"name": curve.method, "place": place, "plain": bound, "thin": False, "mean": mean, **ends})
    if is_number(table.chance):
        drawn.append(_flat("chance", table.chance, len(steps)))
    return {"x": steps, "curves": drawn, "steps_are": step_name(table.protocol), "caption": caption}


def _flat(name: str, value: float, count: int) -> dict[str, Any]:
    mean = [round(100 * value, 3)] * count
    return {"name": name, "place": 0, "plain": True, "thin": True, "mean": mean, "low": [], "high": []}


def _at(steps: Sequence[int], own: Sequence[int], values: Sequence[float]) -> list[float | None]:
    if not values:
        return []
    known = dict(zip(own, values))
    return [round(100 * known[step], 3) if step in known else None for step in steps]


def _part(table: Table, row: Row, found: Sequence[Curve], logs: Logs, folder: Path) -> dict[str, Any]:
    trials = trials_of(logs, table)
    own = reported(trials[trials["method"] == row.method], table.choices[row.method])
    seeds = []
    for seed, rows in own.groupby("pretrain_seed", sort=True):
        seeds.append([seed, percent(float(score(rows).mean())), len(rows), int((rows["status"] == "diverged").sum())])
    plot = None
    for curve in found:
        if curve.method == row.method:
            plot = _plot(table, [curve], {}, "the mean over pre-training seeds with its 95% t interval, and each seed.")
            plot["curves"] += [  # type: ignore[index]
                {
                    "name": f"seed {seed}",
                    "place": place + 1,
                    "plain": False,
                    "thin": True,
                    "mean": _at(curve.steps, curve.steps, values),
                    "low": [],
                    "high": [],
                }
                for place, (seed, values) in enumerate(sorted(curve.seeds.items()))
            ]
    return {
        "id": file_name(table),
        "title": table.title,
        "facts": [(name, cell(row)) for name, cell in columns_of(table).items() if name != "method"],
        "plot": plot,
        "seeds": seeds,
        "configs": _configs(own, logs, folder),
        "notes": [note for note in table.notes if note.startswith(f"{row.method}:")],
    }


def _configs(own: pd.DataFrame, logs: Logs, folder: Path) -> list[dict[str, str]]:
    """Returns the configurations of the first run and its first trial: text that is shown, and never parsed."""
    first = own.sort_values(["pretrain_seed", "transfer_seed"]).iloc[0]
    runs = logs.runs
    mine = (runs["config_hash"] == first["config_hash"]) & (runs["pretrain_seed"] == first["pretrain_seed"])
    mine &= runs["scenario"] == first["scenario"]
    files = [("pre-training", file) for file in runs[mine]["file"].head(1)] + [("transfer", first["file"])]
    found = []
    for of, file in files:
        text = config_of(folder / file)
        if len(text) > LONGEST_CONFIG:
            text = f"{text[:LONGEST_CONFIG]}\n... cut: {len(text):,} letters"
        if text.strip():
            found.append({"of": f"{of} (seed {first['pretrain_seed']})", "text": text})
    return found
