"""`zapbench resilience`: what re-drawing each layer of pre-trained networks costs."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli.arguments import MOST_THREADS, add_command, number

if TYPE_CHECKING:
    from rich.table import Table

    from zapbench.checks.resilience import Layer
    from zapbench.tasks import Progress

MOST_STEPS = 100_000


def add_resilience(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench resilience runs/glyphs/asb runs/glyphs/asb_zap"
    command = add_command(
        commands, "resilience", "re-draw each layer of pre-trained networks and measure what that costs", example
    )
    command.add_argument(
        "folders",
        type=Path,
        metavar="RUN",
        nargs="+",
        help="the folder of a finished run, with its checkpoint, or one that holds runs: the mean over their seeds",
    )
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
    from rich.console import Console

    from zapbench.checks.resilience import resilience, runs_by_method
    from zapbench.launchers.job import prepare_process
    from zapbench.launchers.progress import following

    methods = runs_by_method(options.folders)
    runs = [run for own in methods.values() for run in own]
    layers, images = {}, set()
    with following(Console(stderr=True), "measuring", f"{len(runs)} run{'s' * (len(runs) > 1)}") as progress:
        progress("importing PyTorch and Avalanche", 0, 1)
        prepare_process(options.threads)
        for position, run in enumerate(runs):
            measured_on, layers[run] = resilience(
                run,
                steps=options.steps,
                rate=options.rate,
                allow_files=options.allow_files,
                progress=partial(_layer_of, progress, run, position, len(runs)),
            )
            images.add(measured_on)
    console = Console(highlight=False)
    if len(runs) == 1:
        console.print(_of_one(layers[runs[0]]))
    else:
        for method, own in methods.items():
            console.print(f"{method}, {len(own)} seed{'s' * (len(own) > 1)}", markup=False)
            console.print(_means([layers[run] for run in own]), "")
        console.print("Mean ± half of the 95% interval over seeds, where there are three.")
    measured = " and ".join(sorted(images))
    console.print(
        f"Accuracy on {measured} images; a layer alone is trained for {options.steps} steps after re-drawing."
    )
    return 0


def _layer_of(progress: "Progress", run: Path, position: int, runs: int, _: str, done: int, total: int) -> None:
    """Says which run is measured, and how many layers of all runs are done."""
    progress(str(run), position * total + done, runs * total)


def _table(headings: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_edge=False)
    table.add_column("layer")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _of_one(layers: "Sequence[Layer]") -> "Table":
    """Returns the table of one run, a row a layer."""
    table = _table(("before %", "re-drawn %", "recovered %", "shock", "lasting", "regained %"))
    for layer in layers:
        own = layer.co_adaptation
        numbers = (layer.before, layer.redrawn, layer.recovered, own.shock, own.lasting, own.regained)
        table.add_row(layer.name, *(f"{100 * value:.1f}" if value == value else "–" for value in numbers))
    return table


def _means(runs: "Sequence[Sequence[Layer]]") -> "Table":
    """Returns the table of a method's runs, a row a layer."""
    from zapbench.leaderboard.decide.compare import estimate

    table = _table(("before %", "re-drawn %", "recovered %", "lasting"))
    for layers in zip(*runs, strict=True):
        cells = []
        for values in zip(*((one.before, one.redrawn, one.recovered, one.co_adaptation.lasting) for one in layers)):
            mean = estimate(values)
            half = 100 * (mean.high - mean.low) / 2
            cells.append(f"{100 * mean.mean:.1f}" + (f" ± {half:.1f}" if half == half else ""))
        table.add_row(layers[0].name, *cells)
    return table
