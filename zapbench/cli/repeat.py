"""`zapbench repeat`: runs a task again and compares the new record with the old one."""

import argparse
from pathlib import Path

from zapbench.cli.arguments import MOST_THREADS, add_command, number


def add_repeat(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench repeat runs/glyphs/asb_zap/default/seed=0/sequential/lr=0.001/report=0"
    command = add_command(
        commands, "repeat", "repeat a run or a trial and report whether the result is the same", example
    )
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run or of a trial")
    command.add_argument(
        "--threads", type=number(0, MOST_THREADS), default=0, help="threads (default: as many as the record states)"
    )
    command.add_argument(
        "--allow-files", action="store_true", help="also run .gin files that the record names; they may run any code"
    )
    command.set_defaults(command=_repeat)


def _repeat(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench.checks.reproduce import repeat
    from zapbench.launchers.progress import following

    console = Console()
    with following(Console(stderr=True), "repeating", str(options.folder)) as progress:
        compared = repeat(options.folder, options.threads, allow_files=options.allow_files, progress=progress)
    for field in compared:
        if not field.same:
            console.print(Text(f"  differs  {field.name}: {field.before} before, {field.after} now", style="red"))
    different = sum(not field.same for field in compared)
    verdict = "the same" if not different else f"{different} of {len(compared)} fields differ"
    console.print(Text(f"{options.folder}: {verdict} ({len(compared)} fields compared)"))
    return 1 if different else 0
