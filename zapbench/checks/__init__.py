"""Checks: contracts that every strategy and every transfer must keep, shipped or not.

`strategy` checks a pre-training strategy and `transfer` a transfer, clause by clause, on the shrunken scenario of
`shrunk`; `reproduce` repeats a recorded task and compares the records. May import launchers, experiment, transfer; only
the commands import it.
"""
