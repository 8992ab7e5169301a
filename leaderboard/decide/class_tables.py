"""The dynamics of each row of a table, from its trials' tables of correct predictions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.dynamics import Dynamics, Interference, Table, dynamics
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table as RankedTable
from zapbench.leaderboard.read.forgetting import accuracies
from zapbench.leaderboard.read.parse import correct_per_class, description_of
from zapbench.leaderboard.read.tabulate import Logs


@dataclass(frozen=True)
class MethodDynamics:
    """One method of a table.

    Attributes:
        method: the row's name.
        trials: its finished reported trials.
        mean: means over pre-training seeds of the means over trials; None where `missing` says why.
        table: mean accuracy of each class, `(points, classes)`; empty where `mean` is None.
        missing: why there are no numbers, in words; empty where there are.
    """

    method: str
    trials: int
    mean: Dynamics | None
    table: Table
    missing: str = ""


def dynamics_of(logs: Logs, table: RankedTable) -> list[MethodDynamics]:
    """Returns the dynamics of a table's rows, in its order. Diverged trials do not count."""
    trials = trials_of(logs, table)
    found = []
    for row in table.rows:
        own = reported(trials[trials["method"] == row.method], table.choices[row.method])
        finished = own[own["status"] == contract.FINISHED]
        try:
            found.append(_of_method(row.method, finished, logs))
        except ValueError as error:
            found.append(MethodDynamics(row.method, len(finished), None, np.empty((0, 0)), str(error)))
    return found


def _of_method(method: str, trials: pd.DataFrame, logs: Logs) -> MethodDynamics:
    if trials.empty:
        raise ValueError("no trial finished")
    numbers, tables = [], []
    for trial, row in trials.iterrows():
        points = logs.curves[logs.curves["trial"] == trial].drop_duplicates("step", keep="last")
        steps = sorted(int(step) for step in points["step"])
        accuracy = _accuracies(logs, str(row["file"]), steps)
        numbers.append((row["pretrain_seed"], _flat(dynamics(accuracy, steps))))
        tables.append(accuracy)
    seeds = pd.Series([seed for seed, _ in numbers])
    by_seed = pd.DataFrame([values for _, values in numbers]).groupby(seeds).mean()
    return MethodDynamics(method, len(trials), _whole(by_seed.mean().tolist()), np.mean(tables, axis=0))


def _accuracies(logs: Logs, file: str, steps: list[int]) -> Table:
    path = logs.path(file)
    about, correct = description_of(path), correct_per_class(path)
    if about is None or correct is None:
        raise ValueError("a trial has no table of correct predictions; zapbench 0.1.0 recorded none")
    return accuracies(correct, steps, int(about.fingerprint_fields["images_held_out"]))


def _flat(found: Dynamics) -> list[float]:
    own = found.interference
    return [found.depth, found.recovered, found.recovery, own.earlier, own.harm, own.synergy, own.to_come]


def _whole(values: list[float]) -> Dynamics:
    depth, recovered, recovery, *others = values
    return Dynamics(depth, recovered, recovery, Interference(*others))
