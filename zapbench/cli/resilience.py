"""`zapbench resilience`: what re-drawing each layer of a pre-trained network costs."""

import argparse
from pathlib import Path

from zapbench.cli.arguments import MOST_THREADS, add_command, number

MOST_STEPS = 100_000


def add_resilience(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench resilience runs/glyphs/asb_zap/default/seed=0"
    command = add_command(
        commands, "resilience", "re-draw each layer of a pre-trained network and measure what that costs", example
    )
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a finished run, with its checkpoint")
    command.add_argument(
        "--steps", type=number(0, MOST_STEPS), default=100, help="steps that train the layer again (default: 100)"
    )
    command.add_argument("--rate", type=float, default=0.001, help="learning rate of these steps (default: 0.001)")
    command.add_argument("--threads", type=number(1, MOST_THREADS), default=1, help="threads (default: 1)")
    command.add_argument(
        "--allow-files", action="store_true", help="also run .gin files that the record names; they may run any code"
    )
    command.set_defaults(command=_resilience)


def _resilience(options: argparse.Namespace) -> int:
    if not 0 < options.rate < 1000:
        raise ValueError(f"--rate is {options.rate}; allowed: above 0 and below 1000")
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from zapbench.checks.resilience import resilience
    from zapbench.launchers.job import prepare_process
    from zapbench.launchers.progress import following

    with following(Console(stderr=True), "measuring", str(options.folder)) as progress:
        progress("importing PyTorch and Avalanche", 0, 1)
        prepare_process(options.threads)
        images, layers = resilience(
            options.folder,
            steps=options.steps,
            rate=options.rate,
            allow_files=options.allow_files,
            progress=progress,
        )
    table = Table(box=box.SIMPLE, show_edge=False)
    table.add_column("layer")
    for heading in ("before %", "re-drawn %", "recovered %", "shock", "lasting", "regained %"):
        table.add_column(heading, justify="right")
    for layer in layers:
        own = layer.co_adaptation
        numbers = (layer.before, layer.redrawn, layer.recovered, own.shock, own.lasting, own.regained)
        table.add_row(layer.name, *(f"{100 * value:.1f}" if value == value else "–" for value in numbers))
    console = Console()
    console.print(table)
    console.print(f"Accuracy on {images} images; a layer alone is trained for {options.steps} steps after re-drawing.")
    return 0
