"""The table of committed logs of a real demo equals an independent computation from tensorboard's own reader."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from support.paths import LOGS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.markdown import to_markdown

HELD_OUT = "transfer/held_out_accuracy"


def final(path):
    return EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload().Scalars(HELD_OUT)[-1].value


@pytest.fixture(scope="module")
def by_hand():
    """method -> role -> (setting's folder, rate) -> seed -> final accuracies, read by tensorboard alone."""
    found = {}
    for path in sorted((LOGS / "demo").rglob("*=*/*tfevents*")):
        parts = path.relative_to(LOGS / "demo").parts
        if len(parts) == 8:
            _, method, variant, seed, _, rate, role, _ = parts
            place = found.setdefault(method, {}).setdefault(role.split("=")[0], {}).setdefault((variant, rate), {})
            place.setdefault(seed, []).append(final(path))
    return found


def test_the_table_equals_an_independent_computation(by_hand):
    (table,) = tables(load(LOGS / "demo"))
    assert {row.method for row in table.rows} == set(by_hand) == {"iid", "iid_zap", "asb", "asb_zap"}
    means = {}
    for row in table.rows:
        select = {
            key: np.mean([np.mean(v) for v in seeds.values()]) for key, seeds in by_hand[row.method]["select"].items()
        }
        best = max(select, key=select.get)
        assert float(best[1].removeprefix("lr=")) == row.rate
        (reported,) = by_hand[row.method]["report"].items()
        assert reported[0] == best
        means[row.method] = [float(np.mean(trials)) for trials in reported[1].values()]
        assert [len(trials) for trials in reported[1].values()] == [5, 5, 5]
        mean, spread = np.mean(means[row.method]), np.std(means[row.method], ddof=1)
        half = stats.t.ppf(0.975, 2) * spread / math.sqrt(3)
        assert row.held_out.mean == pytest.approx(mean, rel=1e-6)
        assert (row.held_out.low, row.held_out.high) == pytest.approx((mean - half, mean + half), rel=1e-5)
    raw = {
        pair: stats.ttest_ind(means[pair[0]], means[pair[1]], equal_var=False).pvalue
        for pair in itertools.combinations([row.method for row in table.rows], 2)
    }
    running, apart = 0.0, set()
    for place, (pair, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
        running = max(running, min(1.0, (len(raw) - place) * p))
        if running < 0.05:
            apart.add(frozenset(pair))
    for row in table.rows:
        better = [
            m for m in means if frozenset((m, row.method)) in apart and np.mean(means[m]) > np.mean(means[row.method])
        ]
        assert row.rank == 1 + len(better)
        for other in table.rows:
            if other is not row:
                shared = set(row.letters) & set(other.letters)
                assert bool(shared) == (frozenset((row.method, other.method)) not in apart)


def test_the_table_as_people_read_it_is_the_committed_one():
    assert to_markdown(tables(load(LOGS / "demo"))) == (LOGS / "demo.md").read_text(encoding="utf-8")
