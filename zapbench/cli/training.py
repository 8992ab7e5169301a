"""The commands that train: one run, a model from elsewhere, a suite; and what a strategy of one's own takes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli.arguments import add_command, add_training_options, command_line
from zapbench.cli.suite import add_suite, launch

if TYPE_CHECKING:
    from zapbench.launchers.base import Launcher


def add_training(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the commands."""
    _add_run(commands)
    _add_transfer(commands)
    add_suite(commands)
    _add_new(commands)
    _add_check(commands)
    _add_list(commands)


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench run omniglot_small asb_zap --transfer sequential -p 'ASB.inner_lr = 0.03' --seed 1"
    command = add_command(commands, "run", "pre-train one model and transfer it, at every rate", example)
    command.add_argument("scenario", metavar="SCENARIO", help="a name of `zapbench list`, or a .gin file")
    command.add_argument("strategy", metavar="STRATEGY", help="a name of `zapbench list`, or a .gin file")
    command.add_argument("--name", default="", help="the row's name (default: the strategy, with what -p changes)")
    _add_trials(command)
    add_training_options(command)
    command.set_defaults(command=_run, weights="")


def _add_transfer(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench transfer mine.pt --scenario omniglot_small -p 'convnet.filters = 64' --name mine --seed 0"
    command = add_command(commands, "transfer", "transfer a model that was pre-trained elsewhere", example)
    command.add_argument("weights", metavar="WEIGHTS", help="a state dict that torch.save wrote, of model or encoder")
    command.add_argument("--scenario", required=True, help="a name of `zapbench list`, or a .gin file")
    command.add_argument("--name", default="", help="the row's name (default: the file's); give each seed the same")
    _add_trials(command)
    add_training_options(command)
    command.set_defaults(command=_transfer, strategy="pretrained")


def _add_trials(command: argparse.ArgumentParser) -> None:
    command.add_argument("--transfer", nargs="+", default=["sequential"], metavar="NAME", help="default: sequential")
    command.add_argument("--seed", type=int, default=0, help="pre-training seed (default: 0)")
    command.add_argument("--trials", type=int, default=5, help="reported trials (default: 5)")
    command.add_argument("--select-trials", type=int, default=3, help="trials to choose a rate on (default: 3)")
    command.add_argument("--rates", type=float, nargs="+", metavar="RATE", help="transfer learning rates")


def _add_new(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench new strategy my_idea && cd my_idea && zapbench run glyphs my_idea.gin"
    command = add_command(commands, "new", "write a small working package for a strategy of your own", example)
    command.add_argument("kind", choices=["strategy"])
    command.add_argument("name", metavar="NAME", help="the package's name, in lower case")
    command.add_argument("--in", dest="folder", type=Path, default=Path(), help="where its folder goes (default: here)")
    command.set_defaults(command=_new)


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench check mine.gin"
    what = "try the contract of a strategy or a transfer on a small scenario, in under a minute"
    command = add_command(commands, "check", what, example)
    command.add_argument("name", metavar="NAME", help="a strategy or a transfer of `zapbench list`, or a .gin file")
    command.set_defaults(command=_check)


def _add_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = add_command(commands, "list", "list scenarios, strategies, transfers and suites", "zapbench list")
    command.set_defaults(command=_list)


def _transfer(options: argparse.Namespace) -> int:
    options.name = options.name or Path(options.weights).stem
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from zapbench.cli.logs import print_tables, read_logs
    from zapbench.suites.suite import RATES, Suite

    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    suite = Suite(
        scenarios=(options.scenario,),
        strategies=(options.strategy,),
        transfers=tuple(options.transfer),
        seeds=(options.seed,),
        trials=options.trials,
        select_trials=options.select_trials,
        rates=tuple(options.rates or RATES),
        bindings=tuple(options.bindings),
        full=True,
        name=options.name,
        weights=options.weights,
    )
    threads = 1 if options.threads is None else options.threads
    if threads < 1:
        raise ValueError(f"--threads must be at least 1, got {threads}")

    def new_launcher() -> "Launcher":
        from zapbench.launchers.local import InProcessLauncher

        return InProcessLauncher(options.out, command_line(), threads)

    status = launch(suite, options.out, new_launcher)
    print_tables(read_logs(options.out), "table", "select")
    return status


def _new(options: argparse.Namespace) -> int:
    from zapbench.cli.new_strategy import new_strategy

    files = new_strategy(options.name, options.folder)
    print(*(f"  {path}" for path in files), sep="\n")
    print(f"try it:  cd {files[0].parent} && zapbench check {files[0].name} && zapbench run glyphs {files[0].name}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench import config
    from zapbench.launchers.job import prepare_process

    name = options.name
    kind = config.kind_of(name)
    console = Console()
    with console.status(f"checking {name}"):
        prepare_process(1)
        from zapbench.checks.strategy import check_strategy
        from zapbench.checks.transfer import check_transfer

        failed = 0
        for finding in check_strategy(name) if kind == "strategies" else check_transfer(name):
            failed += not finding.holds
            word, style = ("ok", "green") if finding.holds else ("FAILS", "bold red")
            line = Text.assemble((f"  {word:6}", style), finding.clause, f": {finding.words}" if finding.words else "")
            console.print(line, soft_wrap=True)
    console.print(Text(f"{name}: {'the contract holds' if not failed else f'{failed} of it fails'}"))
    return 1 if failed else 0


def _list(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from zapbench import config

    console = Console()
    for kind in config.KINDS:
        grid = Table(title=Text(kind), title_justify="left", title_style="bold", box=None, show_header=False)
        grid.add_column(no_wrap=True)
        grid.add_column()
        for name in config.names(kind):
            grid.add_row(Text(f"  {name}"), Text(config.summary(kind, name)))
        console.print(grid)
        console.print()
    return 0
