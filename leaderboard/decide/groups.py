"""Significance groups: letters beside the methods of a table (compact letter display, Piepho 2004)."""

from collections.abc import Mapping, Sequence

from zapbench.leaderboard.decide.compare import Pair


def letters(names: Sequence[str], compared: Sequence[Pair]) -> dict[str, str]:
    """Returns the letters of each method: two methods share one exactly where they are not significantly different.

    Args:
        names: the methods, best first.
        compared: every pair of them.

    The groups are the maximal cliques of "not significantly different", lettered from the best method's.

    >>> abc = [Pair("x", "y", 0.1, 0.2, 0.2), Pair("x", "z", 0.3, 0.0, 0.0), Pair("y", "z", 0.2, 0.1, 0.1)]
    >>> letters(["x", "y", "z"], abc)
    {'x': 'a', 'y': 'ab', 'z': 'b'}
    """
    different = {frozenset((pair.first, pair.second)) for pair in compared if pair.significant}
    alike = {a: {b for b in names if b != a and frozenset((a, b)) not in different} for a in names}
    cliques = sorted(_cliques(set(), set(names), set(), alike), key=lambda c: sorted(names.index(n) for n in c))
    found = dict.fromkeys(names, "")
    for number, clique in enumerate(cliques):
        for name in clique:
            found[name] += _letter(number)
    return found


def _cliques(
    inside: set[str], open_: set[str], closed: set[str], alike: Mapping[str, set[str]]
) -> list[frozenset[str]]:
    """Bron and Kerbosch (1973), with a pivot."""
    if not open_ and not closed:
        return [frozenset(inside)]
    pivot = max(sorted(open_ | closed), key=lambda name: len(alike[name] & open_))
    found = []
    for name in sorted(open_ - alike[pivot]):
        found += _cliques(inside | {name}, open_ & alike[name], closed & alike[name], alike)
        open_ = open_ - {name}
        closed = closed | {name}
    return found


def _letter(number: int) -> str:
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else letter + str(number // 26)
