"""The commands: a module each (`run`, `suite`, `leaderboard`, ...), and the parser in `main`.

A command reads its options, calls what does the work, and prints. `--help` and everything about logs import neither
torch nor Avalanche: a command imports what it needs when it is called. May import everything below it; nothing imports
it.
"""

from zapbench.cli.main import main

__all__ = ["main"]
