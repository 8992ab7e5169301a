"""Writes tables as a static page: one index, a page a method, no request to any other host, readable from a folder.

Every text goes through jinja2's autoescape, and the page's script sets text as text; a Content-Security-Policy forbids
whatever else a name might try. The same logs give the same bytes.
"""

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import jinja2
from filelock import FileLock, Timeout

from zapbench import __version__
from zapbench.atomic import LOCK_FILE
from zapbench.leaderboard.claims.judge import judge
from zapbench.leaderboard.claims.schema import read_claims
from zapbench.leaderboard.decide.curves import curves
from zapbench.leaderboard.decide.overview import overviews
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.identity import identities as identities_of
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show.claims import claims_data
from zapbench.leaderboard.show.drawing import places
from zapbench.leaderboard.show.figures import write_figures
from zapbench.leaderboard.show.makers import maker_data, makers_data, makers_of
from zapbench.leaderboard.show.page_data import method_data, overview_data, page_names, table_data
from zapbench.text import shown

TEMPLATES = Path(__file__).parent / "site"
ASSETS = ("style.css", "page.js", "icon.svg", "uPlot.iife.min.js", "uPlot.min.css", "uPlot-LICENSE.txt")
PARTS = ("assets", "methods", "figures", "index.html", ".nojekyll")
"""What a page consists of."""

STAGE = ".zapbench-part"
"""Folder in a page's folder where the next page is written; while it is there, the folder is known as a page's."""


def write_site(
    tables: Sequence[Table], logs: Logs, out: Path, audited: Mapping[tuple[str, str], str] | None = None
) -> None:
    """Writes the page into a folder of its own; an earlier page there is replaced.

    The page is written beside the earlier one and swapped in at the end. A process that is killed leaves the earlier
    page, a mixture for the moment of the swap, and in any case a folder that the next call completes. Of two processes
    that write into one folder, the second raises an error.

    Args:
        tables: of the logs.
        logs: for curves, seeds, configurations and what was excluded.
        out: created if missing.
        audited: (fingerprint, method) -> what an audit confirmed; see `submissions.audits.badges`.

    Raises:
        ValueError: the folder holds something else, or another process is writing into it.
    """
    _refuse_other_folders(out)
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another process is writing a page into {out}") from None
    try:
        _replace_page(tables, logs, out, audited or {})
    finally:
        lock.release()


def _replace_page(tables: Sequence[Table], logs: Logs, out: Path, audited: Mapping[tuple[str, str], str]) -> None:
    stage = out / STAGE
    stage.mkdir(exist_ok=True)
    for left in stage.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()
    for name in ("assets", "methods", "figures"):
        (stage / name).mkdir()
    (stage / ".nojekyll").touch()  # GitHub Pages: serve as it is
    for name in ASSETS:
        shutil.copyfile(TEMPLATES / name, stage / "assets" / name)
    figures = write_figures(tables, logs, stage / "figures")
    _write_pages(tables, logs, stage, {path.name for path in figures}, audited)
    for name in PARTS:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        os.replace(stage / name, out / name)
    stage.rmdir()


def _refuse_other_folders(out: Path) -> None:
    """Refuses a folder that is neither new, nor empty, nor a page's.

    Raises:
        ValueError: it is another folder, or none.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is not a folder")
    known = (out / STAGE).is_dir() or ((out / ".nojekyll").exists() and (out / "assets" / "page.js").exists())
    if out.is_dir() and not known and any(path.name != LOCK_FILE for path in out.iterdir()):
        raise ValueError(f"{out} holds something else than an earlier page; give a folder of its own")


def _write_pages(
    tables: Sequence[Table],
    logs: Logs,
    out: Path,
    figures: Collection[str],
    audited: Mapping[tuple[str, str], str],
) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    drawn = {table.file_name: curves(logs, table) for table in tables}
    own = places(tables)
    pages = page_names([row.method for table in tables for row in table.rows])
    identities, wrong = identities_of(logs)
    makers = makers_of(logs, identities)
    index = environment.get_template("index.html").render(
        root="",
        version=__version__,
        title="Leaderboard",
        tables=[table_data(table, drawn[table.file_name], pages, own, figures, audited) for table in tables],
        overviews=[overview_data(overview) for overview in overviews(list(tables))],
        problems=[*logs.problems, *wrong],
        makers=makers_data(makers),
        claims=claims_data(judge(read_claims(), logs, tables)),
    )
    _write(out / "index.html", index)
    template = environment.get_template("method.html")
    for name, page in pages.items():
        parts = [
            method_data(table, row, drawn[table.file_name], logs)
            | {"audited": audited.get((table.fingerprint, row.method), "")}
            | {"makers": [maker_data(maker) for maker in makers.get((table.fingerprint, row.method), ())]}
            for table in tables
            for row in table.rows
            if row.method == name
        ]
        text = template.render(root="../", version=__version__, name=name, parts=parts, some_stated=bool(makers))
        _write(out / "methods" / page, text)


def _write(path: Path, text: str) -> None:
    path.write_text(shown(text), encoding="utf-8", newline="\n")
