"""`zapbench leaderboard`: turns folders of TensorBoard logs into ranked tables, figures and a page."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli.arguments import add_command, printable
from zapbench.cli.submit import check_submission
from zapbench.cli.tables import print_tables, read_logs
from zapbench.extras import FIGURES, require
from zapbench.leaderboard.show.kinds import KINDS, USUAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zapbench.leaderboard.read.tabulate import Logs


def add_leaderboard(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench leaderboard runs --format md"
    command = add_command(commands, "leaderboard", "turn folders of TensorBoard logs into ranked tables", example)
    command.add_argument(
        "logdirs",
        type=Path,
        metavar="LOGDIR",
        nargs="*",
        help="folders of TensorBoard logs; a task that several record counts in the first, and a method belongs to the "
        "first folder that has it",
    )
    command.add_argument(
        "--with",
        dest="published",
        nargs="+",
        default=[],
        metavar="NAME",
        help="published results to rank the logs beside, by name, for example omniglot_small",
    )
    command.add_argument(
        "--format", choices=["table", "md", "latex", "csv", "json"], default="table", help="default: table"
    )
    command.add_argument(
        "--select",
        choices=["select", "paper"],
        default="select",
        help="select rates on the selection trials (default), or on the reported trials as the paper did",
    )
    command.add_argument(
        "--mapping", type=Path, metavar="FILE.gin", help="describes how to read logs that zapbench did not write"
    )
    command.add_argument(
        "--diagram", type=Path, metavar="FILE", help="draw a critical-difference diagram; needs five data sets or more"
    )
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw every table's figures into a folder")
    command.add_argument("--figure", nargs="+", choices=list(KINDS), default=list(USUAL), help="what --figures draws")
    command.add_argument(
        "--figure-format", nargs="+", choices=["svg", "png", "pdf"], default=["svg"], help="default: svg"
    )
    command.add_argument("--site", type=Path, metavar="DIR", help="write the tables as a static page")
    command.add_argument(
        "--check",
        type=Path,
        metavar="NAME.zip",
        help="check whether a submission can be ranked (together with LOGDIR and --with, if given)",
    )
    command.add_argument(
        "--unpack",
        type=Path,
        metavar="DIR",
        help="with --check: unpack the submission into a new folder, if it has no error",
    )
    command.add_argument(
        "--metric",
        default="final",
        metavar="METRIC",
        help="rank by another metric than final held-out accuracy: average_incremental, learning_accuracy, forgetting, "
        "...; an unknown one lists all",
    )
    command.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="print these columns, in this order: rank, held_out, mean_std, seeds, rate, ...; an unknown one lists all",
    )
    command.add_argument("--sort", default="", metavar="COLUMN", help="sort rows by a column (default: by the ranking)")
    command.add_argument(
        "--title", type=printable, default="", help="stands before the title, or the caption, of a table"
    )
    command.add_argument("--no-cache", action="store_true", help="read every file again, and do not write the cache")
    command.set_defaults(command=_leaderboard)


def _refuse_ignored(options: argparse.Namespace) -> None:
    """Refuses options that would do nothing.

    Raises:
        ValueError: there is one.
    """
    drawing: dict[str, object] = {"figure": list(USUAL), "figure_format": ["svg"]}
    printing: dict[str, object] = {
        "format": "table",
        "select": "select",
        "metric": "final",
        "columns": [],
        "sort": "",
        "title": "",
    }
    writing: dict[str, object] = dict.fromkeys(("mapping", "diagram", "figures", "site"))
    if options.check is not None:
        refused, why = drawing | printing | writing, "not together with --check, which prints no table"
    elif options.figures is None:
        refused, why = drawing, "it needs --figures DIR"
    else:
        return
    for name, default in refused.items():
        if getattr(options, name) != default:
            raise ValueError(f"--{name.replace('_', '-')}: {why}")


def _leaderboard(options: argparse.Namespace) -> int:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its matrices are small: waiting threads would take time
    from zapbench.leaderboard.published import unpacked
    from zapbench.leaderboard.read.mapping import read_mapping
    from zapbench.leaderboard.show.view import View

    if options.published and options.mapping:
        raise ValueError("--mapping says how to read logs that zapbench did not write: not together with --with")
    _refuse_ignored(options)
    options.logdirs = [*map(unpacked, options.published), *options.logdirs]  # first, so that nothing changes their rows
    if options.check is not None:
        return check_submission(options.check, options.logdirs, options.unpack)
    if options.unpack is not None:
        raise ValueError("--unpack needs --check NAME.zip")
    if not options.logdirs:
        raise ValueError("leaderboard needs LOGDIR, a folder of logs, --with NAME or --check NAME.zip")
    if options.metric != "final" and (options.figures is not None or options.site is not None):
        raise ValueError("--metric is for printed tables; figures and the page show final held-out accuracy")
    if options.figures or options.site or options.diagram:
        require(FIGURES)
    mapping = read_mapping(options.mapping) if options.mapping else None
    logs = read_logs(options.logdirs, mapping=mapping, keep=not options.no_cache)
    view = View(tuple(options.columns), options.sort, options.title, bold=True)
    tables = print_tables(logs, options.format, options.select, metric=options.metric, view=view)
    if mapping is None and _holds_others(logs):
        print(
            f"Logs of another program need --mapping FILE.gin; write one by: zapbench new mapping {options.logdirs[0]}",
            file=sys.stderr,
        )
    if not tables:
        return _nothing_ranked(options.logdirs, logs)
    if options.figures is not None:
        from zapbench.leaderboard.show.figures import write_figures

        write_figures(tables, logs, options.figures, options.figure_format, options.figure)
    if options.site is not None:
        from zapbench.leaderboard.show.page import write_site

        write_site(tables, logs, options.site, _audited(options, logs))
    if options.diagram is not None:
        from zapbench.leaderboard.decide.overview import overviews
        from zapbench.leaderboard.show.diagram import draw

        found = overviews(tables)
        if len(found) != 1:
            raise ValueError(
                f"--diagram needs logs of exactly one protocol on several data sets, got {len(found)} such protocols"
            )
        draw(found[0], options.diagram)
    return 0


def _audited(options: argparse.Namespace, logs: "Logs") -> "Mapping[tuple[str, str], str]":
    """Returns what the verdicts confirm that the first folder given holds: the maintainer's, not a submission's."""
    from zapbench.leaderboard.submissions.audits import badges, read_audits

    own = options.logdirs[len(options.published) :]
    audits, problems = read_audits(own[0]) if own else ([], [])
    for problem in problems:
        print(f"ignored: {problem}", file=sys.stderr)
    return badges(logs, audits)


def _nothing_ranked(folders: "Sequence[Path]", logs: "Logs") -> int:
    """Prints that there is no table; returns the exit status."""
    print(f"zapbench: nothing in {', '.join(map(str, folders))} can be ranked", file=sys.stderr)
    if _holds_others(logs):
        from zapbench.leaderboard.read.suggest import as_gin, suggest

        try:
            text = as_gin(suggest(folders[0]))
        except ValueError as error:
            print(f"No mapping could be guessed: {error}", file=sys.stderr)
            return 1
        print("A mapping to start from, as that command writes it:", file=sys.stderr)
        print(text, end="", file=sys.stderr)
    return 1


def _holds_others(logs: "Logs") -> bool:
    from zapbench.leaderboard.read.parse import NO_DESCRIPTION

    return any(problem.endswith(NO_DESCRIPTION) for problem in logs.problems)
