"""`zapbench show`: prints the description of a run or a trial, its curves, and the command that repeats it."""

import argparse
from pathlib import Path

from zapbench.cli.arguments import add_command
from zapbench.text import one_line


def add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench show runs/glyphs/asb_zap/default/seed=0"
    command = add_command(
        commands, "show", "show a run or a trial: its description, its curves, and the command that repeats it", example
    )
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run or of a trial")
    command.set_defaults(command=_show)


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
    console.print(Text(f"\nTo repeat it:  {command_of(about)} --out ANOTHER_FOLDER"), soft_wrap=True)
    return 0


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)
