"""The curve of each row of a table: its held-out accuracy over the trajectory, mean over pre-training seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs


@dataclass(frozen=True)
class Curve:
    """Held-out accuracy of one method over the reported trials of its selected setting.

    Attributes:
        method: the row's name.
        steps: classes seen, or updates; those at which every trial was measured.
        seeds: pre-training seed -> mean over its trials at each step.
        mean: mean over seeds of these.
        low: lower end of the 95% t interval at each step, clipped to [0, 1]; empty with fewer than three seeds.
        high: upper end of it.
    """

    method: str
    steps: list[int]
    seeds: dict[int, list[float]]
    mean: list[float]
    low: list[float]
    high: list[float]


def curves(logs: Logs, table: Table) -> list[Curve]:
    """Returns the curves of a table's rows, in its order; a method whose trials share no point has none.

    As in the table, a diverged trial counts as chance, here at every step.
    """
    trials = trials_of(logs, table)
    found = []
    for row in table.rows:
        own = reported(trials[trials["method"] == row.method], table.choices[row.method])
        if not (own["status"] == contract.DIVERGED).all():
            found.append(_curve(row.method, own, logs.curves))
    return [curve for curve in found if curve.steps]


def trials_of(logs: Logs, table: Table) -> pd.DataFrame:
    """Returns the trials of one table, of every role and setting."""
    trials = logs.trials
    own = (trials["scenario"] == table.scenario) & (trials["protocol"] == table.protocol)
    return trials[own & (trials["fingerprint"] == table.fingerprint)]


def _curve(method: str, trials: pd.DataFrame, points: pd.DataFrame) -> Curve:
    finished = trials[trials["status"] == contract.FINISHED]
    own = points[points["trial"].isin(finished.index)].drop_duplicates(["trial", "step"], keep="last")
    wide = own.pivot(index="step", columns="trial", values="held_out").dropna()
    for trial, score in trials[trials["status"] == contract.DIVERGED]["score"].items():
        wide[trial] = score
    steps = [int(step) for step in wide.index]
    means = {
        int(str(seed)): wide[list(rows.index)].mean(axis=1).tolist()
        for seed, rows in trials.groupby("pretrain_seed", sort=True)
    }
    ends = [compare.estimate(column) for column in zip(*means.values())]
    banded = len(means) >= compare.LEAST_SEEDS
    return Curve(
        method=method,
        steps=steps,
        seeds=means,
        mean=[end.mean for end in ends],
        low=_clipped([end.low for end in ends]) if banded else [],
        high=_clipped([end.high for end in ends]) if banded else [],
    )


def _clipped(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.clip(values, 0.0, 1.0)]


def step_name(protocol: str) -> str:
    """Returns what the steps of a protocol's curves count.

    >>> step_name("iid, unfrozen"), step_name("sequential, frozen")
    ('updates', 'classes seen')
    """
    return "updates" if protocol.startswith("iid") else "classes seen" if protocol.startswith("sequential") else "step"
