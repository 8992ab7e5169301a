"""`zapbench check`: tests whether a strategy or a transfer keeps its contract."""

import argparse

from zapbench.cli.arguments import add_command
from zapbench.extras import TRAIN, require


def add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench check mine.gin"
    what = "test the contract of a strategy or a transfer on a small scenario, in under a minute"
    command = add_command(commands, "check", what, example)
    command.add_argument("name", metavar="NAME", help="a strategy or a transfer of `zapbench list`, or a .gin file")
    command.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench import config
    from zapbench.launchers.job import prepare_process
    from zapbench.launchers.progress import waiting

    require(TRAIN)
    name = options.name
    kind = config.kind_of(name)
    console = Console()
    with waiting(Console(stderr=True), f"checking {name}"):
        prepare_process(1)
        from zapbench.checks.strategy import check_strategy
        from zapbench.checks.transfer import check_transfer

        failed = 0
        for finding in check_strategy(name) if kind == "strategies" else check_transfer(name):
            failed += not finding.holds
            state, style = ("ok", "green") if finding.holds else ("FAILS", "bold red")
            line = Text.assemble(
                (f"  {state:6}", style), finding.clause, f": {finding.detail}" if finding.detail else ""
            )
            console.print(line, soft_wrap=True)
    verdict = f"{failed} clause{'s' * (failed > 1)} of the contract failed" if failed else "the contract holds"
    console.print(Text(f"{name}: {verdict}"))
    return 1 if failed else 0
