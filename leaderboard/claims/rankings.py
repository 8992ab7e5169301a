"""The verdict on claims about the ranking of more than two methods."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from zapbench.leaderboard.claims.evidence import VALIDATION, Evidence
from zapbench.leaderboard.claims.schema import Claim
from zapbench.leaderboard.claims.verdict import REFUTED, REPRODUCED, UNDECIDED, Verdict, more
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import ALPHA
from zapbench.leaderboard.decide.power import seeds_for_trend


def correlation(claim: Claim, found: Evidence, names: Mapping[str, str], seeds: int) -> Verdict:
    """Decides whether validation accuracy ranks methods as the metric does: one significant inversion says no."""
    methods = [names[method] for method in claim.methods]
    means = [[float(np.mean(found.values(metric)[name])) for name in methods] for metric in (VALIDATION, claim.metric)]
    tau, p = compare.rank_correlation(*means)
    said = f"tau {tau:.2f}"
    couples = [(one, other) for place, one in enumerate(methods) for other in methods[place + 1 :]]
    both = [(found.pair(claim.metric, *couple), found.pair(VALIDATION, *couple)) for couple in couples]
    inverted = [(ours, theirs) for ours, theirs in both if ours.difference * theirs.difference < 0]
    certain = [ours for ours, theirs in inverted if ours.significant and theirs.significant]
    if certain:
        above, below = certain[0].first, certain[0].second
        above, below = (above, below) if certain[0].difference > 0 else (below, above)
        why = (
            f"{len(certain)} of {len(both)} pairs are significantly inverted, such as {above} above {below} in transfer"
        )
        return Verdict(REFUTED if claim.ranks else REPRODUCED, said, seeds, why, value=tau)
    if tau > 0 and p < ALPHA:
        why = f"no significant inversion, and tau is positive (p = {p:.2g})"
        return Verdict(REPRODUCED if claim.ranks else REFUTED, said, seeds, why, value=tau)
    needs = [
        (found.seeds_to_detect(claim.metric, ours), found.seeds_to_detect(VALIDATION, theirs))
        for ours, theirs in inverted
    ]
    known = [max(one, other) for one, other in needs if one is not None and other is not None]
    needed = more(min(known), seeds) if known else None
    return Verdict(UNDECIDED, said, seeds, "no pair is significantly inverted", value=tau, needed=needed)


def trend(claim: Claim, found: Evidence, names: Mapping[str, str], seeds: int) -> Verdict:
    """Decides by Kendall's tau between the order of the methods and their values, one a pre-training seed."""
    samples = [found.values(claim.metric)[names[method]] for method in claim.methods]
    levels = [level for level, own in enumerate(samples) for _ in own]
    fit = stats.kendalltau(levels, [value for own in samples for value in own])
    tau, p = float(fit.statistic), float(fit.pvalue)
    said = f"tau {tau:.2f} ({', '.join(f'{np.mean(own):.1f}' for own in samples)})"
    if p < ALPHA:
        return Verdict(REPRODUCED if tau > 0 else REFUTED, said, seeds, f"p = {p:.2g}", value=tau)
    needed = more(seeds_for_trend(tau, len(samples)), seeds)
    return Verdict(UNDECIDED, said, seeds, f"no significant trend (p = {p:.2g})", value=tau, needed=needed)
