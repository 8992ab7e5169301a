"""Significance groups: letters beside the methods of a table (compact letter display, Piepho 2004)."""

from collections.abc import Sequence

from zapbench.leaderboard.decide.compare import Pair

MOST_METHODS = 8
"""Methods beyond which there are no letters: nobody reads `cdefg` beside `bdfhi`. Findings and the matrix take over."""


def letters(names: Sequence[str], compared: Sequence[Pair]) -> dict[str, str]:
    """Returns the letters of each method: two methods share one exactly where they are not significantly different.

    Args:
        names: the methods, best first.
        compared: every pair of them.

    Returns:
        Letters, groups in the order of their best methods; empty with more than `MOST_METHODS` methods.

    >>> abc = [Pair("x", "y", 0.1, 0.2, 0.2), Pair("x", "z", 0.3, 0.0, 0.0), Pair("y", "z", 0.2, 0.1, 0.1)]
    >>> letters(["x", "y", "z"], abc)
    {'x': 'a', 'y': 'ab', 'z': 'b'}
    """
    if len(names) > MOST_METHODS:
        return {}
    place = {name: number for number, name in enumerate(names)}
    different = {(place[one], place[other]) for p in compared if p.significant for one, other in _both(p)}
    groups = _groups(len(names), different)
    found = dict.fromkeys(names, "")
    for number, group in enumerate(sorted(sorted(group) for group in groups)):
        for member in group:
            found[names[member]] += _letter(number)
    return found


def _both(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair.first, pair.second), (pair.second, pair.first)


def _groups(count: int, different: set[tuple[int, int]]) -> set[frozenset[int]]:
    """Returns the largest sets without a significant difference.

    Method after method is inserted: into each set without a difference from it, and beside the others together with
    those of their members that do not differ from it; a set within another is absorbed.
    """
    groups = {frozenset[int]()}
    for new in range(count):
        alike = frozenset(old for old in range(new) if (old, new) not in different)
        joined = {(group & alike) | {new} for group in groups}
        joined = {group for group in joined if not any(group < other for other in joined)}
        groups = joined | {group for group in groups if not group <= alike}
    return groups


def _letter(number: int) -> str:
    return chr(ord("a") + number)
