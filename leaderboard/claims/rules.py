"""The verdict on one claim: *reproduced*, *refuted* or *undecided*.

The rules are written down in `docs/explanation/claims.md`. All numbers are in points (percent).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from zapbench.leaderboard.claims.evidence import VALIDATION, Evidence
from zapbench.leaderboard.claims.rankings import correlation, trend
from zapbench.leaderboard.claims.schema import Claim
from zapbench.leaderboard.claims.verdict import REFUTED, REPRODUCED, UNDECIDED, Verdict, more
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import LEAST_SEEDS, Pair, half_width
from zapbench.leaderboard.decide.power import pooled_spread, seeds_for_interval
from zapbench.text import count

MARGIN = 5.0
"""Points: a third of the paper's smallest gain on Omniglot (14.4), and above its largest difference that is none (1.1).
"""
PAPERS_SEEDS = 3


def verdict(claim: Claim, found: Evidence, names: Mapping[str, str]) -> Verdict:
    """Returns the verdict on a claim.

    Args:
        claim: all its methods are in the table.
        found: of the table.
        names: a claim's method -> the table's.
    """
    own = {name: found.row(names[name]) for name in claim.needs}
    seeds = min(row.held_out.seeds for row in own.values())
    if excluded := sorted(found.table.excluded & {names[name] for name in own}):
        return Verdict(UNDECIDED, seeds=seeds, why=f"not ranked: {', '.join(excluded)}")
    metrics = (VALIDATION, claim.metric) if claim.kind == "correlation" else (claim.metric,)
    rows = [names[name] for name in own]
    for metric in metrics:
        if missing := sorted(set(rows) - found.values(metric).keys()):
            return Verdict(UNDECIDED, seeds=seeds, why=f"no {metric.replace('_', '-')} value: {', '.join(missing)}")
    seeds = min(seeds, *(len(found.values(metric)[row]) for metric in metrics for row in rows))
    if seeds < LEAST_SEEDS:
        few = count(seeds, "pre-training seed")
        return Verdict(UNDECIDED, _first_value(claim, found, names), seeds, few, needed=LEAST_SEEDS)
    return _RULES[claim.kind](claim, found, names, seeds)


def _first_value(claim: Claim, found: Evidence, names: Mapping[str, str]) -> str:
    """Returns the means that there are, where seeds are too few for more."""
    values = found.values(claim.metric)
    means = [f"{names[name]} {np.mean(values[names[name]]):.1f}" for name in claim.needs if names[name] in values]
    return ", ".join(means[:2]) + (", ..." if len(means) > 2 else "")


def _number(claim: Claim, found: Evidence, names: Mapping[str, str], seeds: int) -> Verdict:
    assert claim.value is not None
    (method,) = claim.methods
    values = found.values(claim.metric)[names[method]]
    return _near(claim, seeds, compare.estimate(values).mean, [values])


def _difference(claim: Claim, found: Evidence, names: Mapping[str, str], seeds: int) -> Verdict:
    first, second = (found.values(claim.metric)[names[method]] for method in claim.methods)
    return _near(claim, seeds, float(np.mean(first) - np.mean(second)), [first, second])


def _near(claim: Claim, seeds: int, value: float, samples: Sequence[Sequence[float]]) -> Verdict:
    """Decides whether the paper's value lies in our interval, widened by the paper's spread.

    Where that is not known, the interval is widened by a standard error of three seeds that spread as ours do.
    """
    assert claim.value is not None
    half = half_width(samples)
    further = 0.0 if claim.spread is not None else sum(float(np.var(s, ddof=1)) for s in samples) / PAPERS_SEEDS
    own = half_width(samples, further)
    widened = own + (claim.spread or 0.0)
    ours = f"{value:+.1f}" if len(samples) > 1 else f"{value:.1f}"
    ours += f" [{value - half:.1f}, {value + half:.1f}]"
    said = Verdict(UNDECIDED, ours, seeds, value=value, low=value - half, high=value + half, detects=widened)
    apart = claim.value - value
    where = f"the paper's is {abs(apart):.1f} {'higher' if apart > 0 else 'lower'}; allowed: {widened:.1f}"
    if abs(apart) > widened:
        return replace(said, verdict=REFUTED, why=where)
    if own > MARGIN:
        needed = seeds_for_interval(MARGIN, pooled_spread(samples), means=len(samples), further=further)
        why = f"{where}, which is too wide"
        return replace(said, why=why, needed=more(needed, seeds))
    return replace(said, verdict=REPRODUCED, why=where)


def _order(claim: Claim, found: Evidence, names: Mapping[str, str], seeds: int) -> Verdict:
    pairs = [found.pair(claim.metric, names[one], names[other]) for one in claim.better for other in claim.worse]
    against = [pair for pair in pairs if pair.significant and pair.difference < 0]
    unclear = [pair for pair in pairs if not pair.significant]
    shown = against[0] if against else min(pairs, key=lambda pair: pair.difference)
    said = _said(claim, found, shown, seeds, named=len(pairs) > 1)
    if against:
        return replace(said, verdict=REFUTED, why=f"significant in the other direction (p = {shown.adjusted:.2g})")
    if not unclear:
        return replace(said, verdict=REPRODUCED, why=f"p = {max(pair.adjusted for pair in pairs):.2g}")
    needed = [found.seeds_to_detect(claim.metric, pair) for pair in unclear]
    most = None if None in needed else max(number for number in needed if number is not None)
    where = f" in {len(unclear)} of {len(pairs)} pairs" if len(pairs) > 1 else f" (p = {shown.adjusted:.2g})"
    return replace(said, why=f"not significant{where}", needed=more(most, seeds))


def _significance(claim: Claim, found: Evidence, names: Mapping[str, str], seeds: int) -> Verdict:
    first, second = (names[method] for method in claim.methods)
    pair = found.pair(claim.metric, first, second)
    said = _said(claim, found, pair, seeds)
    p = f"p = {pair.adjusted:.2g}"
    if pair.significant:
        return replace(said, verdict=REPRODUCED if claim.significant else REFUTED, why=f"significant ({p})")
    if said.low >= -MARGIN and said.high <= MARGIN:
        why = f"not significant ({p}), and less than {MARGIN:g} points apart"
        return replace(said, verdict=REFUTED if claim.significant else REPRODUCED, why=why)
    values, room = found.values(claim.metric), MARGIN - abs(pair.difference)
    spread = pooled_spread([values[first], values[second]])
    ways = [found.seeds_to_detect(claim.metric, pair), seeds_for_interval(room, spread, means=2) if room > 0 else None]
    needed = min((seeds for seeds in ways if seeds is not None), default=None)
    why = f"not significant ({p}), but they may be more than {MARGIN:g} points apart"
    return replace(said, why=why, needed=more(needed, seeds))


def _said(claim: Claim, found: Evidence, pair: Pair, seeds: int, *, named: bool = False) -> Verdict:
    """Returns what is said of a pair, whatever the verdict."""
    values = found.values(claim.metric)
    half = half_width([values[pair.first], values[pair.second]])
    low, high = pair.difference - half, pair.difference + half
    name = f"{pair.first} - {pair.second} " if named else ""
    ours = f"{name}{pair.difference:+.1f} [{low:.1f}, {high:.1f}]"
    detects = found.detects(claim.metric)
    return Verdict(UNDECIDED, ours, seeds, value=pair.difference, low=low, high=high, detects=detects)


_RULES: Mapping[str, Callable[[Claim, Evidence, Mapping[str, str], int], Verdict]] = {
    "number": _number,
    "difference": _difference,
    "order": _order,
    "significance": _significance,
    "correlation": correlation,
    "trend": trend,
}
