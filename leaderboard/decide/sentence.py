"""What a table found, in a sentence."""

from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.tables import Table

MOST_PAIRS = 100
"""Of pairs that are not significantly different: as many are named."""


def sentence(table: Table) -> str:
    """Says which methods are significantly different, and which are not: generated from the table's pairs alone."""
    if not table.pairs:
        least = compare.LEAST_SEEDS
        return f"Nothing is ranked: a comparison needs two methods with at least {least} pre-training seeds each."
    count = len(table.pairs)
    test = f"Welch's t-test on seed means, Holm-adjusted over {count} pair{'s' if count > 1 else ''}"
    better = _better(table)
    if not better:
        return f"No two methods are significantly different at the 5% level ({test})."
    different = "; ".join(f"{first} is better than {_and(others)}" for first, others in better.items())
    alike = [f"{p.first} and {p.second}" for p in table.pairs if not p.significant]
    if len(alike) > MOST_PAIRS:
        alike = [*alike[:MOST_PAIRS], f"and {len(alike) - MOST_PAIRS} more pairs"]
    rest = f"Not significantly different: {'; '.join(alike)}." if alike else "All pairs are significantly different."
    return f"Significant at the 5% level ({test}): {different}. {rest}"


def _better(table: Table) -> dict[str, list[str]]:
    """Returns method -> the methods that it is significantly better than, in the table's order."""
    found: dict[str, list[str]] = {}
    for row in table.rows:
        for pair in table.pairs:
            first, second = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
            if pair.significant and first == row.method:
                found.setdefault(first, []).append(second)
    return found


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
