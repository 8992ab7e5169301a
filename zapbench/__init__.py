"""A continual-learning benchmark around *Reset It and Forget It* (Frati et al., ECAI 2024).

Start at `zapbench.cli` (the commands), `zapbench.experiment` (what one run does) or
`zapbench.leaderboard` (from TensorBoard logs to a ranked table).
"""

from zapbench.moved import find_moved_modules

__version__ = "0.1.0"

find_moved_modules()
