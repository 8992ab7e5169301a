"""`zapbench suite`: forecasts or runs a grid of runs, then prints its table and writes its figures."""

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli.arguments import (
    MOST_JOBS,
    add_command,
    add_training_options,
    command_line,
    note_oversubscription,
    number,
)
from zapbench.launchers.cpus import cores
from zapbench.text import duration_text, size_text

if TYPE_CHECKING:
    from zapbench.launchers.base import Launcher
    from zapbench.suites.forecast import Forecast
    from zapbench.suites.plan import Plan
    from zapbench.suites.suite import Suite


def add_suite(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    command = add_command(commands, "suite", "run a grid of runs and print its table", "zapbench suite demo --jobs 2")
    command.add_argument("suite", metavar="NAME", help="a name of `zapbench list`, or a .gin file")
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="list the tasks that are left, with their time and disk space, and run nothing",
    )
    command.add_argument(
        "--full", action="store_true", help="also run every rate on the reported trials (for --select paper)"
    )
    command.add_argument(
        "--jobs",
        type=number(1, MOST_JOBS),
        help="tasks that run at once (default: as many as the cores or the Ray cluster allow)",
    )
    command.add_argument(
        "--launcher",
        choices=("local", "ray"),
        default="local",
        help="where tasks run: in processes of this machine (default), or on a Ray cluster",
    )
    command.add_argument(
        "--address",
        help="address of the Ray cluster (default: $RAY_ADDRESS; without it, a cluster is started for this suite)",
    )
    add_training_options(command)
    command.set_defaults(command=_suite)


def _suite(options: argparse.Namespace) -> int:
    from zapbench import config
    from zapbench.cli.tables import print_tables, read_logs
    from zapbench.suites.plan import plan
    from zapbench.suites.results import write_results
    from zapbench.suites.suite import load_suite

    if options.address is not None and options.launcher != "ray":
        raise ValueError("--address needs --launcher ray")
    suite = load_suite(options.suite, options.bindings)
    suite = replace(suite, full=suite.full or options.full, cpus=options.threads or suite.cpus)
    planned = plan(suite)
    if options.dry_run:
        return _forecast(planned, options)
    status = launch(planned, options.out, lambda: launcher_for(suite, options))
    logs = read_logs(options.out, only=planned.folders)
    made = print_tables(logs, "table", "select")
    for path in write_results(suite, config.name_of(options.suite), made, logs, options.out):
        print(path)
    return status


def launch(plan: "Plan", out: Path, new_launcher: "Callable[[], Launcher]") -> int:
    """Runs a suite, prints how it ended, and returns the exit status.

    Raises:
        KeyboardInterrupt: the suite was stopped.
        OSError: the output folder can no longer be written.
    """
    from rich.console import Console

    from zapbench.suites.run import run_suite

    console = Console(stderr=True)
    summary = run_suite(plan, out, new_launcher, console)
    before = f", {summary.done_before} of them done before" if summary.done_before else ""
    console.print(f"{summary.tasks} tasks{before}", highlight=False)
    outcome = summary.outcome
    for folder, reason in outcome.failed.items():
        print(f"zapbench: {folder} failed: {reason}", file=sys.stderr)
    if outcome.fatal:
        raise OSError(outcome.fatal)
    if outcome.stopped:
        raise KeyboardInterrupt
    return 1 if outcome.failed else 0


def _jobs(suite: "Suite", options: argparse.Namespace) -> int:
    return options.jobs or max(1, cores() // suite.cpus)


def launcher_for(suite: "Suite", options: argparse.Namespace) -> "Launcher":
    """Returns the launcher that the options ask for."""
    if options.launcher == "ray":
        from zapbench.launchers.ray import RayLauncher

        return RayLauncher(options.out, command_line(), suite.cpus, suite.gpus, options.jobs, options.address)
    from zapbench.launchers.gpus import assign, visible_devices
    from zapbench.launchers.local import ProcessPoolLauncher

    jobs = _jobs(suite, options)
    note_oversubscription(jobs, suite.cpus)
    devices = assign(visible_devices(), suite.gpus, jobs) if suite.gpus else []
    return ProcessPoolLauncher(options.out, command_line(), suite.cpus, len(devices) or jobs, devices)


def _forecast(plan: "Plan", options: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from zapbench.cli.consoles import output
    from zapbench.suites.forecast import forecast

    found = forecast(plan, options.out, _jobs(plan.suite, options))
    grid = Table(box=None, pad_edge=False)
    for heading in ("scenario", "strategy", "what", "grid", "tasks", "done", "left", "disk"):
        grid.add_column(heading, justify="right" if heading in ("tasks", "done", "left", "disk") else "left")
    for part in found.parts:
        left = (duration_text(part.seconds), size_text(part.bytes)) if part.done < part.tasks else ("–", "–")
        numbers = (f"{part.tasks:,}", f"{part.done:,}", *left)
        grid.add_row(*map(Text, (part.scenario, part.strategy, part.what, part.grid, *numbers)))
    output().print(grid)
    for line in _lines(found, options.out):
        print(line)
    return 0


def _lines(found: "Forecast", out: Path) -> list[str]:
    processes = f"{found.jobs} process{'es' if found.jobs > 1 else ''}"
    least = "at least " if found.unknown else ""
    lines = [f"{found.tasks:,} tasks, {found.done:,} of them done in {out}"]
    if found.done < found.tasks:
        known = not found.unknown or found.seconds
        lines.append(f"time left: {f'{least}{duration_text(found.seconds)} on {processes}' if known else 'unknown'}")
        lines.append(f"disk: {f'{least}{size_text(found.bytes)}' if known else 'unknown'}, {_free(out)} free")
        lines += [f"  as {source}" for source in found.sources]
    alike: dict[tuple[str, str], list[str]] = {}
    for part in found.unknown:
        alike.setdefault((part.scenario, part.what), []).append(part.strategy)
    for (scenario, what), strategies in alike.items():
        named = strategies[0] if len(strategies) == 1 else f"{len(strategies)} strategies,"
        lines.append(f"  unknown: {scenario} {named} {what} (no such task has been measured)")
    return lines


def _free(out: Path) -> str:
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    return size_text(shutil.disk_usage(there).free)
