"""For each method of a table: which others it is significantly above or below, and which are not different."""

from dataclasses import dataclass

from zapbench.leaderboard.decide.tables import Table


@dataclass(frozen=True)
class Relation:
    """A method and the others, each list in the table's order.

    Attributes:
        method: the row's name.
        above: methods that it is significantly better than.
        alike: methods that are not significantly different from it.
        below: methods that are significantly better.
    """

    method: str
    above: list[str]
    alike: list[str]
    below: list[str]


def relations(table: Table) -> list[Relation]:
    """Returns a relation for each method that was compared, in the table's order."""
    found = {name: Relation(name, [], [], []) for name in compared(table)}
    place = {name: number for number, name in enumerate(found)}
    for pair in table.pairs:
        first, second = found[pair.first], found[pair.second]
        if not pair.significant:
            first.alike.append(pair.second)
            second.alike.append(pair.first)
            continue
        higher, lower = (first, second) if pair.difference > 0 else (second, first)
        higher.above.append(lower.method)
        lower.below.append(higher.method)
    for one in found.values():
        for names in (one.above, one.alike, one.below):
            names.sort(key=place.__getitem__)
    return list(found.values())


def compared(table: Table) -> list[str]:
    """Returns the methods that were compared, in the table's order."""
    known = {name for pair in table.pairs for name in (pair.first, pair.second)}
    return [row.method for row in table.rows if row.method in known]


def differences(table: Table) -> dict[tuple[str, str], tuple[float, bool]]:
    """Returns, for each two methods that were compared, first minus second in [-1, 1], and whether it is significant.

    Both orders of a pair are there.
    """
    found = {}
    for pair in table.pairs:
        found[pair.first, pair.second] = (pair.difference, pair.significant)
        found[pair.second, pair.first] = (-pair.difference, pair.significant)
    return found
