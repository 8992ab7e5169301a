"""Computes everything published from the committed logs: tables, pages, figures and the numbers in documents.

    make results

For each `leaderboard/results/NAME/logs.tar.xz` it writes: the unpacked logs and their figures to `build/results/NAME`,
their page to `build/results/pages/leaderboard/NAME` (which `make docs` includes), the tables to
`leaderboard/results/NAME/table.md`, and into each document a short table, between `<!-- results: NAME -->` and
`<!-- end of results -->`, the verdicts of `zapbench claims`, between `<!-- claims: NAME -->` and
`<!-- end of claims -->`, and what zapping gains in each pre-training and way to learn, between
`<!-- gains: NAME -->` and `<!-- end of gains -->`, and how classes fare while others are learned, between
`<!-- dynamics: NAME -->` and `<!-- end of dynamics -->`. A test does the same and compares, so the numbers in documents
are those of the logs.
"""

import functools
import re
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zapbench.leaderboard.claims.judge import judge, papers_values
from zapbench.leaderboard.claims.schema import read_claims
from zapbench.leaderboard.decide.class_tables import dynamics_of
from zapbench.leaderboard.decide.curves import curves
from zapbench.leaderboard.decide.gains import gains
from zapbench.leaderboard.decide.rows import Row, is_number
from zapbench.leaderboard.decide.tables import Table, tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.show import claims
from zapbench.leaderboard.show import dynamics as show_dynamics
from zapbench.leaderboard.show import gains as show_gains
from zapbench.leaderboard.show.columns import percent
from zapbench.leaderboard.show.drawing import save
from zapbench.leaderboard.show.figures import write_figures
from zapbench.leaderboard.show.markdown import escape, to_markdown
from zapbench.leaderboard.show.page import write_site
from zapbench.leaderboard.show.trajectories import trajectories

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "leaderboard" / "results"
BUILD = ROOT / "build" / "results"
PICTURES = ROOT / "docs" / "pictures"
DOCUMENTS = ("README.md", "docs/results.md", "docs/explanation/decomposition.md", "docs/explanation/dynamics.md")
"""Documents with numbers of results."""
TRAJECTORIES = ("omniglot_paper", "omniglot_small_claim")
"""The results whose trajectories in sequential transfer are in the documents."""
DYNAMICS = "dynamics_small"
"""The results whose dynamics are a table and heat maps in a document."""
DRAWN = ("asb", "asb_zap"), ("sequential_unfrozen", "sequential_unfrozen_sgd")
"""Pre-trainings and transfers of which heat maps are drawn."""
HEADS = ("decomposition_small", "decomposition_natural")
"""The results whose heat maps of pre-trainings and heads are in the documents."""
MARKED = {
    kind: re.compile(rf"(<!-- {kind}: (\w+) -->\n)(.*?)(<!-- end of {kind} -->)", re.DOTALL)
    for kind in ("results", "claims", "gains", "dynamics")
}
"""What is filled in -> where."""


@dataclass(frozen=True)
class Published:
    """A folder of published results.

    Attributes:
        name: of the folder in `leaderboard/results`.
        folder: where its logs were unpacked.
        logs: what was read from them.
        tables: computed from `logs`.
    """

    name: str
    folder: Path
    logs: Logs
    tables: list[Table]


def published() -> list[str]:
    """Returns the names of the folders with logs."""
    return sorted(path.parent.name for path in RESULTS.glob("*/logs.tar.xz"))


def read(name: str, folder: Path, *, workers: int = 1) -> Published:
    """Unpacks the logs of a folder of results into another folder, and ranks them."""
    with tarfile.open(RESULTS / name / "logs.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    logs = load(folder, workers=workers)
    return Published(name, folder, logs, tables(logs))


def table_file(found: Published) -> str:
    """Returns the content of `table.md`."""
    return to_markdown(found.tables, found.logs.problems)


def short_table(made: Sequence[Table]) -> str:
    """Returns a table for documents: a row a method, a column a protocol, held-out % [95% CI] and groups, or ranks."""
    ordered = sorted(made, key=lambda table: (table.scenario, not table.protocol.startswith("sequential")))
    scenarios = {table.scenario for table in ordered}
    heads = [
        (table.title if len(scenarios) > 1 else f"{table.protocol} transfer") + (" (rank)" * ranked(table))
        for table in ordered
    ]
    rows = [{row.method: _cell(row) for row in table.rows} for table in ordered]
    methods = dict.fromkeys(name for cells in rows for name in cells)
    lines = [f"| method | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    lines += [f"| `{name}` | {' | '.join(cells.get(name, '–') for cells in rows)} |" for name in methods]
    return "\n".join(lines) + "\n"


def ranked(table: Table) -> bool:
    """Returns whether ranks stand where groups would: a table of many methods has no groups."""
    return bool(table.pairs) and not any(row.letters for row in table.rows)


def _cell(row: Row) -> str:
    ends = (row.held_out.low, row.held_out.high)
    interval = f" [{percent(ends[0])}, {percent(ends[1])}]" if all(map(is_number, ends)) else ""
    mark = row.letters or (f"({row.rank})" if row.rank else "")
    return f"{percent(row.held_out.mean)}{interval} {mark}".rstrip()


def verdicts(found: Published) -> str:
    """Returns what `zapbench claims` says of a folder of results, without the claims that have no logs there."""
    return claims.to_markdown(judge(read_claims(), found.logs, found.tables), complete=False)


def gained(found: Published) -> str:
    """Returns what zapping gains, a line a pre-training and way to learn."""
    lines = [line for table in found.tables for line in show_gains.gains_lines(gains(table, found.logs))]
    return "\n".join(f"- {escape(line)}" for line in lines) + "\n"


def dynamics_table(found: Published) -> str:
    """Returns how classes fare while others are learned, a row a method, of the results that are about that."""
    if found.name != DYNAMICS:
        return ""
    (table,) = found.tables
    return show_dynamics.to_markdown(table.title, dynamics_of(found.logs, table)).partition("\n\n")[2]


MADE: dict[str, Callable[[Published], str]] = {
    "results": lambda found: short_table(found.tables),
    "claims": verdicts,
    "gains": gained,
    "dynamics": dynamics_table,
}
"""Kind of text in documents -> what makes it of results."""


def filled(text: str, parts: dict[str, dict[str, str]]) -> str:
    """Returns a document with the texts of `parts` inserted between the markers of their kinds and names.

    Raises:
        ValueError: a marker names results that do not exist.
    """
    for kind, marked in MARKED.items():
        text = marked.sub(functools.partial(_put, parts[kind]), text)
    return text


def _put(short: dict[str, str], match: re.Match[str]) -> str:
    if match.group(2) not in short:
        raise ValueError(f"no results {match.group(2)!r}; there are: {', '.join(short)}")
    return f"{match.group(1)}\n{short[match.group(2)]}\n{match.group(4)}"


def picture(found: Published, path: Path) -> None:
    """Draws the trajectories of the sequential table."""
    table = next(table for table in found.tables if table.protocol.startswith("sequential"))
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = trajectories(table, curves(found.logs, table), papers=papers_values(table, found.logs))
    save(drawn, path)


def heat_map(found: Published, path: Path) -> None:
    """Draws pre-trainings by heads."""
    for table in found.tables:
        drawn = show_gains.heads_figure(table, found.logs)
        if drawn is not None:
            save(drawn, path)


def class_maps(found: Published, path: Path) -> None:
    """Draws the heat maps of classes by time of some methods."""
    (table,) = found.tables
    drawn = {f"{strategy} ({transfer})" for strategy in DRAWN[0] for transfer in DRAWN[1]}
    methods = sorted((one for one in dynamics_of(found.logs, table) if one.method in drawn), key=lambda one: one.method)
    figure = show_dynamics.heat_maps(table.title, methods)
    assert figure is not None
    save(figure, path)


def page(found: Published, out: Path) -> None:
    """Writes the static page of a folder of results."""
    write_site(found.tables, found.logs, out)


def main() -> None:
    """Recomputes everything."""
    from zapbench.launchers.cpus import cores

    shutil.rmtree(BUILD, ignore_errors=True)
    parts: dict[str, dict[str, str]] = {kind: {} for kind in MARKED}
    for name in published():
        found = read(name, BUILD / name / "logs", workers=cores())
        (RESULTS / name / "table.md").write_text(table_file(found), encoding="utf-8")
        page(found, BUILD / "pages" / "leaderboard" / name)
        write_figures(found.tables, found.logs, BUILD / name / "figures", ("svg", "pdf"))
        for kind, make in MADE.items():
            parts[kind][name] = make(found)
        if name in TRAJECTORIES:
            picture(found, PICTURES / f"{name}.svg")
        if name == DYNAMICS:
            class_maps(found, PICTURES / f"{name}.svg")
        if name in HEADS:
            heat_map(found, PICTURES / f"{name}.svg")
        print(f"{name}: {len(found.logs.trials):,} trials, build/results/pages/leaderboard/{name}/index.html")
    for document in map(ROOT.joinpath, DOCUMENTS):
        if document.exists():
            document.write_text(filled(document.read_text(encoding="utf-8"), parts), encoding="utf-8")


if __name__ == "__main__":
    main()
