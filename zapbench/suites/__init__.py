"""Suites: grids of runs, from the file to the table, without torch.

`suite` (the grid) -> `plan` (its tasks) -> `run` (in stages: pre-training and selection trials, then the reported trials
at what was chosen, on a launcher) -> `results` (its table and figures). `forecast` says what a suite will take, from
what tasks of the same kind took (`costs`). May import launchers, leaderboard, tasks, config; only the commands import
it.
"""
