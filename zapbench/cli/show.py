"""`zapbench show`: prints the description of a run or a trial, its curves, and the command that repeats it."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from zapbench.cli.arguments import add_command
from zapbench.text import one_line

SHORTEST_CURVE = 8
"""Columns below which the shape of a curve is not drawn."""


def add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench show runs/glyphs/asb_zap/default/seed=0"
    command = add_command(
        commands, "show", "show a run or a trial: its description, its curves, and the command that repeats it", example
    )
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run or of a trial")
    command.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> int:
    from rich.text import Text

    from zapbench.checks.reproduce import command_of, read_task
    from zapbench.cli.consoles import output

    found, about = read_task(options.folder)
    console = output()
    reason = f" ({found.closing.reason})" if found.closing.reason else ""
    console.print(Text(f"{about.method} on {about.scenario}: {found.closing.status}{reason}", style="bold"))
    hidden = ("fingerprint_fields", "scenario", "method")
    for name, value in vars(about).items():
        if name not in hidden and value not in (None, "", {}, ()):
            console.print(Text(f"  {name:16} {_plain(value)}"))
    console.print()
    for line in curve_lines(found.curves, console.width):
        console.print(Text(line))
    console.print(Text(f"\nTo repeat it:  {command_of(about)} --out ANOTHER_FOLDER"), soft_wrap=True)
    return 0


def curve_lines(curves: Mapping[str, tuple[list[int], list[float]]], width: int) -> list[str]:
    """Returns a line of at most `width` columns for each curve: its tag, its shape, its first and last value."""
    from zapbench.checks.reproduce import WIDTH, sparkline

    tags = {tag: one_line(tag) for tag in curves}
    longest = max(map(len, tags.values()), default=0)
    ends = {
        tag: f"{values[0]:.4g} to {values[-1]:.4g} (step {steps[-1]})" if len(values) > 1 else f"{values[-1]:.6g}"
        for tag, (steps, values) in curves.items()
    }
    room = width - longest - max(map(len, ends.values()), default=0) - 6
    lines = []
    for tag, (_, values) in curves.items():
        shape = f"{sparkline(values, min(room, WIDTH))}  " if len(values) > 1 and room >= SHORTEST_CURVE else ""
        lines.append(f"  {tags[tag]:{longest}}  {shape}{ends[tag]}")
    return lines


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)
