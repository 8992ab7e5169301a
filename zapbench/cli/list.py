"""`zapbench list`: lists the shipped scenarios, strategies, transfers and suites."""

import argparse

from zapbench.cli.arguments import add_command


def add_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    command = add_command(
        commands, "list", "list the shipped scenarios, strategies, transfers and suites", "zapbench list"
    )
    command.set_defaults(command=_list)


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
