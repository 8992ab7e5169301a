"""What a table found, in words: a sentence, and a line for each method."""

from collections.abc import Sequence

from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.relations import Relation, relations
from zapbench.leaderboard.decide.tables import Table

LEAST_RUN = 4
"""Methods in a row of which the first and the last are named, and how many they are."""


def sentence(table: Table) -> str:
    """Says how many pairs of methods are significantly different, and by which test."""
    if not table.pairs:
        least = compare.LEAST_SEEDS
        return f"Nothing is ranked: a comparison needs two methods with at least {least} pre-training seeds each."
    count = len(table.pairs)
    pairs = f"{count} pair{'s' if count > 1 else ''}"
    test = f"Welch's t-test on seed means, Holm-adjusted over {pairs}"
    different = sum(pair.significant for pair in table.pairs)
    if not different:
        return f"No two methods are significantly different at the 5% level ({test})."
    which = f"{different} of {pairs}" if different < count else "The two methods" if count == 1 else f"All {pairs}"
    verb = "is" if different == 1 < count else "are"
    return f"{which} {verb} significantly different at the 5% level ({test})."


def findings(table: Table) -> list[str]:
    """Returns a line for each method that was compared: which others it is above, and which are not different.

    Methods in neither list are above it. Many rows of the table in a row are named by the first and the last. There are
    no lines where no two methods are significantly different.
    """
    if not any(pair.significant for pair in table.pairs):
        return []
    found = relations(table)
    order = [one.method for one in found]
    return [f"{one.method}: {_words(one, order)}" for one in found]


def _words(one: Relation, order: Sequence[str]) -> str:
    others = [name for name in order if name != one.method]
    if len(one.below) == len(others):
        return "below all others"
    if len(one.above) == len(others):
        return "above all others"
    parts = [f"above {_named(one.above, others)}"] if one.above else []
    parts += [f"not different: {_named(one.alike, others)}"] if one.alike else []
    return "; ".join(parts)


def _named(names: Sequence[str], order: Sequence[str]) -> str:
    """Returns names; where many follow each other in the table's order, the ends of the run and their number.

    >>> _named(["b", "d", "e", "f", "g"], list("abcdefg"))
    'b, d to g (4)'
    """
    place = {name: number for number, name in enumerate(order)}
    runs: list[list[str]] = []
    for name in names:
        if runs and place[runs[-1][-1]] + 1 == place[name]:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]} to {run[-1]} ({len(run)})" if len(run) >= LEAST_RUN else ", ".join(run) for run in runs)
