"""`zapbench run` pre-trains a model and runs its trials; `zapbench transfer` runs the trials of a given model."""

import argparse
import filecmp
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli.arguments import (
    MOST_JOBS,
    add_command,
    add_training_options,
    command_line,
    note_oversubscription,
    number,
    printable,
)
from zapbench.cli.suite import launch
from zapbench.text import LARGEST_INTEGER

if TYPE_CHECKING:
    from zapbench.launchers.base import Launcher

_SEED = number(0, LARGEST_INTEGER)


def add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench run omniglot_small asb_zap --transfer sequential -p 'ASB.inner_lr = 0.03' --seed 1"
    command = add_command(commands, "run", "pre-train one model and transfer it at every rate", example)
    command.add_argument("scenario", metavar="SCENARIO", help="a name of `zapbench list`, or a .gin file")
    command.add_argument("strategy", metavar="STRATEGY", help="a name of `zapbench list`, or a .gin file")
    command.add_argument(
        "--name", default="", type=printable, help="name of the row (default: the strategy, with the bindings of -p)"
    )
    _add_trials(command)
    add_training_options(command)
    command.add_argument("--seed", type=_SEED, default=0, help="pre-training seed (default: 0)")
    command.set_defaults(command=_run, jobs=1)


def add_transfer(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = (
        "zapbench transfer mine.pt --scenario omniglot_small -p 'convnet.filters = 64'\n"
        "  zapbench transfer mine_0.pt mine_1.pt mine_2.pt --scenario omniglot_small --name mine --jobs 3"
    )
    command = add_command(commands, "transfer", "transfer models that were pre-trained elsewhere", example)
    command.add_argument(
        "weights",
        nargs="+",
        metavar="WEIGHTS",
        help="state dicts of the model or its encoder, written by torch.save: one file per pre-training seed",
    )
    command.add_argument(
        "--seed", type=_SEED, nargs="+", metavar="SEED", help="pre-training seed of each file (default: 0, 1, ...)"
    )
    command.add_argument("--scenario", required=True, help="a name of `zapbench list`, or a .gin file")
    command.add_argument(
        "--name",
        default="",
        type=printable,
        help="name of the row (default: the first file's name); use the same for every seed",
    )
    _add_trials(command)
    command.add_argument(
        "--jobs", type=number(1, MOST_JOBS), default=1, help="models that are transferred at once (default: 1)"
    )
    add_training_options(command)
    command.set_defaults(command=_transfer, strategy="pretrained")


def _add_trials(command: argparse.ArgumentParser) -> None:
    command.add_argument("--transfer", nargs="+", default=["sequential"], metavar="NAME", help="default: sequential")
    command.add_argument("--trials", type=number(1, LARGEST_INTEGER), default=5, help="reported trials (default: 5)")
    command.add_argument(
        "--select-trials", type=number(0, LARGEST_INTEGER), default=3, help="trials to select a rate on (default: 3)"
    )
    command.add_argument("--rates", type=float, nargs="+", metavar="RATE", help="transfer learning rates")


def _transfer(options: argparse.Namespace) -> int:
    files = options.weights
    seeds = options.seed or range(len(files))
    if len(seeds) != len(files):
        raise ValueError(f"--seed names {len(seeds)} seeds for {len(files)} files of weights; name one for each")
    _refuse_equal(files)
    return _train(options, tuple(seeds), options.name or Path(files[0]).stem, tuple(files))


def _refuse_equal(files: Sequence[str]) -> None:
    """Refuses two files of the same content: one model is not two pre-training seeds.

    Raises:
        ValueError: there are two.
    """
    for first, second in itertools.combinations([file for file in files if Path(file).is_file()], 2):
        if filecmp.cmp(first, second, shallow=False):
            raise ValueError(f"{first} and {second} hold the same weights: one model is not two pre-training seeds")


def _run(options: argparse.Namespace) -> int:
    return _train(options, (options.seed,), options.name, ())


def _train(options: argparse.Namespace, seeds: tuple[int, ...], name: str, weights: tuple[str, ...]) -> int:
    from zapbench.cli.tables import print_tables, read_logs
    from zapbench.suites.plan import plan
    from zapbench.suites.suite import RATES, Suite

    suite = Suite(
        scenarios=(options.scenario,),
        strategies=(options.strategy,),
        transfers=tuple(options.transfer),
        seeds=seeds,
        trials=options.trials,
        select_trials=options.select_trials,
        rates=tuple(options.rates or RATES),
        bindings=tuple(options.bindings),
        full=len(seeds) == 1,  # other seeds may follow, and the rate is selected over all
        name=name,
        weights=weights,
    )
    threads = 1 if options.threads is None else options.threads
    jobs = min(options.jobs, len(seeds))
    note_oversubscription(jobs, threads)

    def new_launcher() -> "Launcher":
        from zapbench.launchers.local import InProcessLauncher, ProcessPoolLauncher

        if jobs == 1:
            return InProcessLauncher(options.out, command_line(), threads)
        return ProcessPoolLauncher(options.out, command_line(), threads, jobs)

    planned = plan(suite)
    status = launch(planned, options.out, new_launcher)
    print_tables(read_logs(options.out, only=planned.folders), "table", "select")
    for folder in dict.fromkeys(run.folder for run in planned.runs):
        print(f"logs:    {options.out / folder}")
    print(f"curves:  {shlex.join(['tensorboard', '--logdir', str(options.out)])}")
    print(f"next:    {shlex.join(['zapbench', 'leaderboard', str(options.out)])}  # ranks it with the other runs there")
    return status
