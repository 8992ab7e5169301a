"""Writes tables as a static page: one index, a page a method, no request to any other host, readable from a folder.

Every text goes through jinja2's autoescape, and the page's script sets text as text; a Content-Security-Policy forbids
whatever else a name might try. The same logs give the same bytes.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import jinja2

from zapbench import __version__
from zapbench.leaderboard.decide.curves import curves
from zapbench.leaderboard.decide.overview import overviews
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show.figures import file_name, places, write_figures
from zapbench.leaderboard.show.page_data import method_data, overview_data, page_names, table_data
from zapbench.text import shown

TEMPLATES = Path(__file__).parent / "site"
ASSETS = ("style.css", "page.js", "icon.svg", "uPlot.iife.min.js", "uPlot.min.css", "uPlot-LICENSE.txt")
FOLDERS = ("assets", "methods", "figures")


def write_site(tables: Sequence[Table], logs: Logs, folder: Path, out: Path) -> None:
    """Writes the page into a folder of its own; an earlier page there is replaced.

    Args:
        tables: of the logs.
        logs: for curves, seeds and what was excluded.
        folder: where the logs are, for the text of their configurations.
        out: created if missing.

    Raises:
        ValueError: the folder holds something else.
    """
    _clear(out)
    for name in FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / ".nojekyll").touch()  # GitHub Pages: serve as it is
    for name in ASSETS:
        shutil.copyfile(TEMPLATES / name, out / "assets" / name)
    write_figures(tables, logs, out / "figures")
    _write_pages(tables, logs, folder, out)


def _write_pages(tables: Sequence[Table], logs: Logs, folder: Path, out: Path) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    drawn = {file_name(table): curves(logs, table) for table in tables}
    own = places(tables)
    pages = page_names([row.method for table in tables for row in table.rows])
    index = environment.get_template("index.html").render(
        root="",
        version=__version__,
        title="Leaderboard",
        tables=[table_data(table, drawn[file_name(table)], pages, own) for table in tables],
        overviews=[overview_data(overview) for overview in overviews(list(tables))],
        problems=logs.problems,
    )
    _write(out / "index.html", index)
    template = environment.get_template("method.html")
    for name, page in pages.items():
        parts = [
            method_data(table, row, drawn[file_name(table)], logs, folder)
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
        for name in FOLDERS:
            shutil.rmtree(out / name, ignore_errors=True)
