"""Checks: the contracts that everything shipped and everything of other people must keep.

`strategy` tries a pre-training strategy and `transfer` a transfer on a shrunken scenario, clause by clause;
`reproduce` repeats a recorded task and compares. May import launchers, experiment, transfer; only the commands import
it.
"""
