"""Floors and ceilings of a table: what its scores are to be read between."""

from dataclasses import dataclass

from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.decide.tables import Table

UNTRAINED = "untrained"
"""The strategy that pre-trains nothing."""


@dataclass(frozen=True)
class Reference:
    """A level that scores are read against.

    Attributes:
        name: what it is.
        value: of the metric that the table ranks by.
        is_floor: whether it is a floor; else a ceiling.
    """

    name: str
    value: float
    is_floor: bool


def references(table: Table) -> list[Reference]:
    """Returns chance, the best of what was not pre-trained, and the best of each bound; those that the table has."""
    known = is_number(table.chance) and table.metric.is_accuracy
    found = [Reference("chance", table.chance, True)] if known else []
    rows = [row for row in table.rows if is_number(row.scored.mean)]
    floors = [row for row in rows if strategy_of(row.method) == UNTRAINED and row.method not in table.bounds]
    if floors:
        best = floors[0]  # of rows that stand best first
        found.append(Reference(best.method, best.scored.mean, True))
    bounds: dict[str, Reference] = {}
    for row in rows:  # best first
        if row.method in table.bounds:
            learner = row.method.rpartition(" + ")[2]
            bounds.setdefault(learner, Reference(row.method, row.scored.mean, False))
    return found + list(bounds.values())


def strategy_of(method: str) -> str:
    """Returns the strategy in the name of a row.

    >>> strategy_of("untrained[convnet.filters=8] + slda")
    'untrained'
    """
    return method.split(" + ")[0].split("[")[0]
