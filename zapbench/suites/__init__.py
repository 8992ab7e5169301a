"""Suites: grids of runs, from the .gin file to the table, without torch.

The data flows through `suite` (the grid), `plan` (its tasks), `run` (which runs the tasks on a launcher in two stages:
pre-training and selection trials, then the reported trials at the selected setting and rate) and `results` (tables and
figures). `forecast` predicts the time and disk space of a suite from the `costs` of similar tasks. May import
launchers, leaderboard, tasks, config; only the commands import it.
"""
