"""From TensorBoard event files to ranked tables with confidence intervals and significance groups.

It needs neither torch nor Avalanche, and of zapbench only `zapbench.text`. Data flows in this order:

=================  ====================================================================================
`contract`         what a run writes and this package reads: tags, statuses and the description, whose values
                   `bounds` checks; `fingerprints`: which facts make two scores comparable
`read`             event files -> `Logs`: one row a trial, one row a pre-trained model, their curves
`decide`           `Logs` -> `Table`: settings selected, methods compared and ranked, notes
`show`             `Table` -> text for terminal, Markdown, LaTeX, CSV and JSON; figures; a static page
`submissions`      a zip of event files packed, unpacked and checked
=================  ====================================================================================

    >>> from zapbench.leaderboard import load, tables, to_markdown

The names below are imported when they are first used, so that a command's `--help` does not wait for pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zapbench.leaderboard.contract import Description as Description
    from zapbench.leaderboard.contract import fingerprint as fingerprint
    from zapbench.leaderboard.decide.curves import Curve as Curve
    from zapbench.leaderboard.decide.curves import curves as curves
    from zapbench.leaderboard.decide.overview import Overview as Overview
    from zapbench.leaderboard.decide.overview import overviews as overviews
    from zapbench.leaderboard.decide.rows import Row as Row
    from zapbench.leaderboard.decide.sentence import sentence as sentence
    from zapbench.leaderboard.decide.tables import Table as Table
    from zapbench.leaderboard.decide.tables import tables as tables
    from zapbench.leaderboard.read.load import load as load
    from zapbench.leaderboard.read.mapping import LogMapping as LogMapping
    from zapbench.leaderboard.read.mapping import read_mapping as read_mapping
    from zapbench.leaderboard.read.tabulate import Logs as Logs
    from zapbench.leaderboard.show.data import to_csv as to_csv
    from zapbench.leaderboard.show.data import to_json as to_json
    from zapbench.leaderboard.show.figures import write_figures as write_figures
    from zapbench.leaderboard.show.latex import to_latex as to_latex
    from zapbench.leaderboard.show.markdown import to_markdown as to_markdown
    from zapbench.leaderboard.show.page import write_site as write_site
    from zapbench.leaderboard.show.terminal import to_terminal as to_terminal
    from zapbench.leaderboard.submissions.archives import pack as pack
    from zapbench.leaderboard.submissions.check import Verdict as Verdict
    from zapbench.leaderboard.submissions.check import check as check


_HOME = {
    "Description": "contract",
    "fingerprint": "contract",
    "load": "read.load",
    "Logs": "read.tabulate",
    "LogMapping": "read.mapping",
    "read_mapping": "read.mapping",
    "tables": "decide.tables",
    "Table": "decide.tables",
    "Row": "decide.rows",
    "sentence": "decide.sentence",
    "curves": "decide.curves",
    "Curve": "decide.curves",
    "overviews": "decide.overview",
    "Overview": "decide.overview",
    "to_terminal": "show.terminal",
    "to_markdown": "show.markdown",
    "to_latex": "show.latex",
    "to_csv": "show.data",
    "to_json": "show.data",
    "write_figures": "show.figures",
    "write_site": "show.page",
    "pack": "submissions.archives",
    "check": "submissions.check",
    "Verdict": "submissions.check",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
