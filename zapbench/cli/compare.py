"""`zapbench compare`: is a strategy or a transfer better than published results?"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli import suite as suites
from zapbench.cli.arguments import MOST_JOBS, add_command, add_training_options, number, printable
from zapbench.cli.tables import read_logs
from zapbench.extras import TRAIN, require

if TYPE_CHECKING:
    from zapbench.leaderboard.decide.tables import Table
    from zapbench.leaderboard.read.tabulate import Logs
    from zapbench.suites.plan import Plan
    from zapbench.suites.reference import Reference


def add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench compare mine.gin --with omniglot_small"
    what = "run your strategy or transfer on the terms of published results: is it better, worse, or not to be decided?"
    command = add_command(commands, "compare", what, example)
    command.add_argument("mine", metavar="MINE", help="a .gin file, or a name of `zapbench list`")
    command.add_argument(
        "--with", dest="reference", required=True, metavar="NAME", type=printable, help="published results, by name"
    )
    command.add_argument(
        "--strategies",
        nargs="+",
        default=[],
        metavar="NAME",
        help="for a transfer: the pre-trainings of the results to run it after (default: those with all seeds)",
    )
    command.add_argument("--jobs", type=number(1, MOST_JOBS), help="tasks that run at once (default: the cores)")
    add_training_options(command, "a folder in runs/compare")
    command.set_defaults(command=_compare, out=None, launcher="local", address=None)


def _compare(options: argparse.Namespace) -> int:
    from zapbench import config
    from zapbench.suites.plan import plan
    from zapbench.suites.reference import read_reference, suite_for

    require(TRAIN)
    kind = config.kind_of(options.mine)
    reference = read_reference(options.reference, kind)
    suite = suite_for(
        options.mine, kind, reference, bindings=tuple(options.bindings), strategies=tuple(options.strategies)
    )
    if kind == "transfers" and not options.strategies:
        missing = [name for name in reference.suite.strategy_names if name not in suite.strategy_names]
        if missing:
            said = f"{reference.name} does not have {', '.join(missing)} with all seeds: not compared"
            print(f"zapbench: {said}; --strategies names what to compare", file=sys.stderr)
    suite = replace(suite, cpus=options.threads or suite.cpus)
    options.out = options.out or Path("runs") / "compare" / reference.name / config.name_of(options.mine)
    planned = plan(suite)
    if kind == "transfers" and (status := _rebuild(planned, reference, options)):
        return status
    if status := suites.launch(planned, options.out, lambda: suites.launcher_for(suite, options)):
        return status
    logs = read_logs([reference.folder, options.out])
    return _answer(logs, options.out, share="transfer" if kind == "strategies" else "config_hash")


def _rebuild(planned: "Plan", reference: "Reference", options: argparse.Namespace) -> int:
    """Pre-trains the models of the results that are not kept yet, and puts all of them where the trials look."""
    from zapbench.suites.reference import drop_stale, lend, model_cache, models_of

    models, cache = models_of(planned), model_cache(reference.name)
    drop_stale(models, cache, reference)
    print(f"pre-trained models of {reference.name}: kept in {cache}", flush=True)
    own = argparse.Namespace(**vars(options) | {"out": cache})
    if status := suites.launch(models, cache, lambda: suites.launcher_for(models.suite, own)):
        return status
    lend(models, cache, options.out)
    return 0


def _answer(logs: "Logs", out: Path, *, share: str) -> int:
    """Prints the answer of each table that holds trials of both, and draws it; returns the exit status."""
    from rich.console import Console

    from zapbench.leaderboard.decide.against import against
    from zapbench.leaderboard.decide.tables import tables
    from zapbench.leaderboard.show import against as show
    from zapbench.leaderboard.show.drawing import save

    console = Console()
    theirs, mine = logs.folders
    made = tables(logs)
    answered = 0
    for table in made:
        if found := against(table, logs, mine, share=share):
            answered += 1
            show.print_against(table, found, console)
            for line in [*show.answer(table, found), *_notes(table, {one.mine for one in found})]:
                console.print(line, markup=False, highlight=False)
            for ending in ("svg", "png"):
                path = out / f"compare-{table.file_name}.{ending}"
                save(show.picture(table, found), path)
            console.print(path, markup=False, highlight=False, soft_wrap=True)
    if not answered:
        raise ValueError(_reason(made, mine, theirs, logs))
    for line in filter(None, (show.MEANING, _rebuilt(logs))):
        console.print(line, markup=False, highlight=False)
    return 0


def _notes(table: "Table", mine: set[str]) -> list[str]:
    return [f"{name}: {said}" for name in sorted(mine) for note in table.remarks if (said := note.of(name))]


def _reason(made: "list[Table]", mine: str, theirs: str, logs: "Logs") -> str:
    own = {str(value) for value in logs.trials[logs.trials["folder"] == mine]["fingerprint"]}
    notes = [note for table in made if table.fingerprint in own for note in table.notes if "not comparable" in note]
    return "; ".join([f"nothing of {mine} can be compared with {theirs}", *dict.fromkeys(notes)])


def _rebuilt(logs: "Logs") -> str:
    """Says how far rebuilt models are from the published ones; empty where none was rebuilt."""
    apart = [100 * one.difference for one in logs.repeats if not one.fingerprint and one.difference >= 0]
    if not apart:
        return ""
    return (
        f"Rebuilt models: the validation accuracy of {len(apart)} is {sum(apart) / len(apart):.2f} points from the "
        f"published one on average, {max(apart):.2f} at most."
    )
