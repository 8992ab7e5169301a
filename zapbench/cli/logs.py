"""The commands about logs: rank, pack, show and repeat. All but the last need neither torch nor Avalanche."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli.arguments import add_command, cores
from zapbench.text import one_line

if TYPE_CHECKING:
    from collections.abc import Container

    from zapbench.leaderboard.decide.tables import Table
    from zapbench.leaderboard.read.mapping import LogMapping
    from zapbench.leaderboard.read.tabulate import Logs

WIDE = 200
"""Columns where the output is not a terminal: no column is dropped for width."""

MOST_LINES = 50
"""Problems of a submission that are printed."""


def add_logs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the commands."""
    _add_leaderboard(commands)
    _add_submit(commands)
    _add_show(commands)
    _add_repeat(commands)


def _add_leaderboard(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench leaderboard runs --format md"
    command = add_command(commands, "leaderboard", "turn a folder of TensorBoard logs into ranked tables", example)
    command.add_argument("logdir", type=Path, metavar="LOGDIR", nargs="?")
    command.add_argument("--format", choices=["table", "md", "latex", "csv", "json"], default="table")
    command.add_argument(
        "--select",
        choices=["select", "paper"],
        default="select",
        help="select rates on selection trials (default), or on the reported trials as in the paper",
    )
    command.add_argument(
        "--mapping", type=Path, metavar="FILE.gin", help="how to read logs that zapbench did not write"
    )
    command.add_argument(
        "--diagram", type=Path, metavar="FILE", help="draw the critical-difference diagram (five data sets or more)"
    )
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw trajectories and bars of every table")
    command.add_argument(
        "--figure-format", nargs="+", choices=["svg", "png", "pdf"], default=["svg"], help="default: svg"
    )
    command.add_argument("--site", type=Path, metavar="DIR", help="write the tables as a static page")
    command.add_argument(
        "--check",
        type=Path,
        metavar="NAME.zip",
        help="say whether a submission can be ranked (beside LOGDIR, if given)",
    )
    command.add_argument("--no-cache", action="store_true", help="read every file again, and keep nothing")
    command.set_defaults(command=_leaderboard)


def _add_submit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench submit runs --out mine.zip"
    command = add_command(
        commands, "submit", "pack the event files of a folder, and check that they can be ranked", example
    )
    command.add_argument("logdir", type=Path, metavar="LOGDIR")
    command.add_argument("--out", type=Path, required=True, metavar="NAME.zip")
    command.set_defaults(command=_submit)


def _add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench show runs/glyphs/asb_zap/default/seed=0"
    command = add_command(
        commands, "show", "show a run or a trial: what it is, its curves, the command for it", example
    )
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run or of a trial")
    command.set_defaults(command=_show)


def _add_repeat(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench repeat runs/glyphs/asb_zap/default/seed=0/sequential/lr=0.001/report=0"
    command = add_command(
        commands, "repeat", "run a run or a trial again and say whether the result is the same", example
    )
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run or of a trial")
    command.add_argument("--threads", type=int, default=0, help="threads (default: as many as the record had)")
    command.set_defaults(command=_repeat)


def _leaderboard(options: argparse.Namespace) -> int:
    from zapbench.leaderboard.read.mapping import read_mapping

    if options.check is not None:
        return _check_submission(options.check, options.logdir)
    if options.logdir is None:
        raise ValueError("leaderboard takes LOGDIR, a folder of logs (or --check NAME.zip)")
    mapping = read_mapping(options.mapping) if options.mapping else None
    logs = read_logs(options.logdir, mapping=mapping, keep=not options.no_cache)
    made = print_tables(logs, options.format, options.select)
    if not made:
        return _nothing_ranked(options.logdir, logs)
    if options.figures is not None:
        from zapbench.leaderboard.show.figures import write_figures

        write_figures(made, logs, options.figures, options.figure_format)
    if options.site is not None:
        from zapbench.leaderboard.show.page import write_site

        write_site(made, logs, options.logdir, options.site)
    if options.diagram is not None:
        from zapbench.leaderboard.decide.overview import overviews
        from zapbench.leaderboard.show.diagram import draw

        found = overviews(made)
        if len(found) != 1:
            raise ValueError(f"--diagram takes logs of one protocol on several data sets, got {len(found)} of them")
        draw(found[0], options.diagram)
    return 0


def _nothing_ranked(folder: Path, logs: "Logs") -> int:
    """Says that there is no table, and how logs of another program are ranked; returns the exit status."""
    from zapbench.leaderboard.read.mapping import suggest

    print(f"zapbench: nothing in {folder} can be ranked", file=sys.stderr)
    if any(problem.endswith("holds no description of a run") for problem in logs.problems):
        print("Logs of another program need --mapping FILE.gin. To start from:", file=sys.stderr)
        print(suggest(folder), end="", file=sys.stderr)
    return 1


def _submit(options: argparse.Namespace) -> int:
    from zapbench.leaderboard.submissions.archives import pack

    packed = pack(options.logdir, options.out)
    print(f"{options.out}: {packed} event files, {options.out.stat().st_size:,} bytes")
    return _check_submission(options.out, None)


def _check_submission(path: Path, beside: Path | None) -> int:
    from zapbench.leaderboard.read.load import load
    from zapbench.leaderboard.submissions.check import check

    verdict = check(path, load(beside, workers=cores()) if beside is not None else None)
    for problem in verdict.problems[:MOST_LINES]:
        print(f"  {problem}")
    if len(verdict.problems) > MOST_LINES:
        print(f"  and {len(verdict.problems) - MOST_LINES} more")
    print(f"{path} {verdict.sentence}")
    return 1 if verdict.problems else 0


def read_logs(
    folder: Path, *, mapping: "LogMapping | None" = None, keep: bool = True, only: "Container[str] | None" = None
) -> "Logs":
    """Reads a folder of logs, with progress; `keep` what was read for the next time, count `only` these folders."""
    from rich.console import Console
    from rich.progress import Progress

    from zapbench.leaderboard.read.cache import default_cache
    from zapbench.leaderboard.read.load import load

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("reading logs", total=None)
        return load(
            folder,
            mapping=mapping,
            cache=default_cache() if keep else None,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
            workers=cores(),
            only=only,
        )


def print_tables(logs: "Logs", form: str, by: str) -> "list[Table]":
    """Ranks logs and prints their tables; says what could not be used."""
    from rich.console import Console

    from zapbench.leaderboard.decide.tables import tables
    from zapbench.leaderboard.show.data import to_csv, to_json
    from zapbench.leaderboard.show.latex import to_latex
    from zapbench.leaderboard.show.markdown import to_markdown
    from zapbench.leaderboard.show.terminal import to_terminal

    made = tables(logs, by=by)
    if form == "table":
        console = Console()
        to_terminal(made, console if console.is_terminal else Console(width=WIDE))
    else:
        renderers = {
            "md": lambda: to_markdown(made, logs.problems),
            "latex": lambda: to_latex(made),
            "csv": lambda: to_csv(made),
            "json": lambda: to_json(made, logs.problems),
        }
        sys.stdout.write(renderers[form]())
    for problem in logs.problems:
        print(f"excluded: {problem}", file=sys.stderr)
    return made


def _show(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench.checks.reproduce import command_of, read_task, sparkline

    found, about = read_task(options.folder)
    console = Console()
    reason = f" ({found.closing.reason})" if found.closing.reason else ""
    console.print(Text(f"{about.method} on {about.scenario}: {found.closing.status}{reason}", style="bold"))
    hidden = ("fingerprint_fields", "scenario", "method")
    for name, value in vars(about).items():
        if name not in hidden and value not in (None, "", {}, ()):
            console.print(Text(f"  {name:16} {_plain(value)}"))
    console.print()
    for tag, (steps, values) in found.curves.items():
        shown = f"{sparkline(values)}  {values[0]:.4g} to {values[-1]:.4g}" if len(values) > 1 else f"{values[-1]:.6g}"
        console.print(Text(f"  {one_line(tag):29} {shown} (step {steps[-1]})"))
    console.print(Text(f"\nRun it again:  {command_of(about)} --out ELSEWHERE"), soft_wrap=True)
    return 0


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _repeat(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench.checks.reproduce import repeat

    if options.threads < 0:
        raise ValueError(f"--threads must be at least 0, got {options.threads}")
    console = Console()
    with console.status(f"repeating {options.folder}"):
        compared = repeat(options.folder, options.threads)
    for field in compared:
        if not field.same:
            console.print(Text(f"  differs  {field.name}: {field.before} before, {field.after} now", style="red"))
    different = sum(not field.same for field in compared)
    verdict = "the same" if not different else f"{different} of {len(compared)} fields differ"
    console.print(Text(f"{options.folder}: {verdict} ({len(compared)} fields compared)"))
    return 1 if different else 0
