"""Several data sets side by side: gaps where a method lacks one, average ranks of the methods that have no gap.

Critical differences (Demšar 2006, *Statistical Comparisons of Classifiers over Multiple Data Sets*, section 3.2.2) need
at least five data sets; with fewer none is given.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.decide.tables import Table

LEAST_DATA_SETS = 5


@dataclass(frozen=True)
class Overview:
    """Tables of one protocol side by side.

    Attributes:
        protocol: the protocol.
        scenarios: the data sets; one that has several tables is not among them.
        cells: method -> a mean score for each data set, None where the method was not run on it.
        average_ranks: method -> mean rank over data sets, of methods without gaps that no table leaves unranked, as it
            does upper bounds, methods with a failed task, and those that lack the metric; empty for fewer than two.
        critical_difference: two average ranks that differ by less are not significantly different (Nemenyi, 5%); NaN
            with too few data sets.
        note: why there are no average ranks, or what they mean; and which data sets are left out.
        metric: what the scores are, in percent.
    """

    protocol: str
    scenarios: list[str]
    cells: dict[str, list[float | None]]
    average_ranks: dict[str, float]
    critical_difference: float
    note: str
    metric: str = "held-out %"


def overviews(tables: list[Table]) -> list[Overview]:
    """Returns an overview for each protocol that has at least two scenarios with one table each.

    A scenario with several tables, which are not comparable, is left out, and the note names it.
    """
    found = []
    for protocol in sorted({table.protocol for table in tables}):
        own = [table for table in tables if table.protocol == protocol]
        counts = Counter(table.scenario for table in own)
        single = [table for table in own if counts[table.scenario] == 1]
        if len(single) > 1:
            overview = _overview(protocol, single)
            several = [f"{name} ({count} tables)" for name, count in counts.items() if count > 1]
            words = f" Left out, as their tables are not comparable: {', '.join(several)}." if several else ""
            found.append(replace(overview, note=overview.note + words))
    return found


def _overview(protocol: str, tables: list[Table]) -> Overview:
    metric = tables[0].metric
    means = [{row.method: row.scored.mean for row in table.rows if is_number(row.scored.mean)} for table in tables]
    methods = sorted(set().union(*means), key=lambda name: (sum(name not in m for m in means), name))
    cells = {name: [m.get(name) for m in means] for name in methods}
    unranked = frozenset[str]().union(*(table.excluded for table in tables))
    complete = [name for name in methods if None not in cells[name] and name not in unranked]
    scenarios = [table.scenario for table in tables]
    if len(complete) < 2:
        note = f"No average ranks: fewer than two ranked methods have results on all {len(tables)} data sets."
        return Overview(protocol, scenarios, cells, {}, math.nan, note, metric.label)
    scores = np.array([[cells[name][place] for name in complete] for place in range(len(tables))], dtype=float)
    averages = stats.rankdata(scores if metric.smallest_first else -scores, axis=1).mean(axis=0)
    ranks = dict(zip(complete, map(float, averages)))
    without = sorted(unranked & cells.keys())
    reasons = "an upper bound, a failed task, or a trial without this metric"
    beside = f" Without a rank: {', '.join(without)} ({reasons})." if without else ""
    if len(tables) < LEAST_DATA_SETS:
        note = (
            f"Average ranks over {len(tables)} data sets are a summary and no test: a critical difference needs "
            f"{LEAST_DATA_SETS} data sets. Which methods differ significantly is stated for each data set alone."
        )
        return Overview(protocol, scenarios, cells, ranks, math.nan, note + beside, metric.label)
    difference = critical_difference(len(complete), len(tables))
    note = f"Average ranks that differ by less than {difference:.2f} are not significantly different (Nemenyi, 5%)."
    return Overview(protocol, scenarios, cells, ranks, difference, note + beside, metric.label)


def critical_difference(methods: int, data_sets: int) -> float:
    """Returns Nemenyi's critical difference of average ranks at 5%.

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    q = float(stats.studentized_range.ppf(0.95, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * data_sets))
