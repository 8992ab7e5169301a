"""The command line: one module per command (`run`, `suite`, `leaderboard`, ...), and the parser in `main`.

A command reads its options, calls other packages, and prints. `--help` and the commands that only read logs import
neither torch nor Avalanche, because a command imports what it needs when it is called. May import every other package;
none of them imports it.
"""

from zapbench.cli.main import main

__all__ = ["main"]
