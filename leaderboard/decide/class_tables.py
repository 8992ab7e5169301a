"""The accuracy of each class at each point: of one trial of each row of a table, and the dynamics of all of them."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.dynamics import Dynamics, Interference, Table, dynamics, interference
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table as RankedTable
from zapbench.leaderboard.read.forgetting import accuracies
from zapbench.leaderboard.read.parse import class_losses, correct_per_class
from zapbench.leaderboard.read.tabulate import Logs


@dataclass(frozen=True)
class ClassMatrix:
    """What one trial recorded of its classes.

    Attributes:
        method: the row's name.
        pretrain_seed: of the trial.
        transfer_seed: of the trial.
        steps: classes learned at each point (i.i.d.: updates).
        table: accuracies `(points, classes)` in [0, 1], classes in the order learned; NaN before a class is learned.
    """

    method: str
    pretrain_seed: int
    transfer_seed: int
    steps: list[int]
    table: Table


def class_matrices(logs: Logs, table: RankedTable) -> list[ClassMatrix]:
    """Returns, for each row, the matrix of its first reported trial that recorded one; none for rows without."""
    trials = trials_of(logs, table)
    found = []
    for row in table.rows:
        own = reported(trials[trials["method"] == row.method], table.choices[row.method])
        own = own[own["status"] == contract.FINISHED].sort_values(["pretrain_seed", "transfer_seed"])
        for _, trial in own.iterrows():
            try:
                steps, accuracy = class_accuracies(logs, trial)
            except ValueError:
                continue
            if len(steps) > 1:
                seeds = int(trial["pretrain_seed"]), int(trial["transfer_seed"])
                found.append(ClassMatrix(row.method, *seeds, steps, accuracy))
                break
    return found


@dataclass(frozen=True)
class MethodDynamics:
    """One method of a table.

    Attributes:
        method: the row's name.
        trials: its finished reported trials.
        mean: means over pre-training seeds of the means over trials; None where `missing` says why.
        table: mean accuracy of each class, `(points, classes)`; empty where `mean` is None.
        losses: mean loss of each class in nats, of the same shape, classes to come included; empty where a trial did
            not record them (`sequential_transfer.class_losses`).
        effect: what learning a class does to the losses of others, in nats: a mean as `mean`; None without losses.
        missing: why there are no numbers, in words; empty where there are.
    """

    method: str
    trials: int
    mean: Dynamics | None
    table: Table
    losses: Table = field(default_factory=lambda: np.empty((0, 0)))
    effect: Interference | None = None
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
            found.append(MethodDynamics(row.method, len(finished), None, np.empty((0, 0)), missing=str(error)))
    return found


def _of_method(method: str, trials: pd.DataFrame, logs: Logs) -> MethodDynamics:
    if trials.empty:
        raise ValueError("no trial finished")
    numbers, tables, effects, losses = [], [], [], []
    for _, row in trials.iterrows():
        steps, accuracy = class_accuracies(logs, row)
        numbers.append(_flat(dynamics(accuracy, steps)))
        tables.append(accuracy)
        own = _class_losses(logs, row, accuracy.shape)
        if own is not None:
            effects.append(astuple(interference(own, steps)))
            losses.append(own)
    seeds = trials["pretrain_seed"].to_numpy()
    found = MethodDynamics(method, len(trials), _whole(_over_seeds(numbers, seeds)), np.mean(tables, axis=0))
    if len(losses) < len(trials):
        return found
    return replace(found, losses=np.mean(losses, axis=0), effect=Interference(*_over_seeds(effects, seeds)))


def _over_seeds(numbers: Sequence[Sequence[float]], seeds: npt.NDArray[np.int64]) -> list[float]:
    """Returns means over pre-training seeds of means over trials."""
    means: list[float] = pd.DataFrame(numbers).groupby(seeds).mean().mean().tolist()
    return means


def _class_losses(logs: Logs, trial: "pd.Series[Any]", shape: tuple[int, ...]) -> Table | None:
    """Returns the losses of a trial's classes; None where it recorded none.

    Raises:
        ValueError: they do not fit its points.
    """
    try:
        found = class_losses(logs.path(trial["file"]))
    except OSError as error:
        raise ValueError(f"a trial cannot be read: {error}") from None
    if found is not None and found.shape != shape:
        raise ValueError(f"losses of shape {found.shape} for {shape[0]} points of {shape[1]} classes")
    return found


def class_accuracies(logs: Logs, trial: "pd.Series[Any]") -> tuple[list[int], Table]:
    """Returns the points of a trial, and the accuracy of each class there.

    Args:
        logs: what was loaded.
        trial: a row of its trials.

    Raises:
        ValueError: it recorded none, or counts that do not fit its points.
    """
    images = logs.facts.get(trial["fingerprint"], {}).get("images_held_out")
    try:
        correct = correct_per_class(logs.path(trial["file"]))
    except OSError as error:
        raise ValueError(f"a trial cannot be read: {error}") from None
    if correct is None or not isinstance(images, int):
        raise ValueError("a trial has no table of correct predictions; zapbench 0.1.0 recorded none")
    points = logs.curves[logs.curves["trial"] == trial.name]
    steps = sorted({int(step) for step in points["step"]})
    learned = steps if trial["protocol"].startswith("sequential") else [correct.shape[1]] * len(steps)
    return steps, accuracies(correct, learned, images)


def _flat(found: Dynamics) -> list[float]:
    own = found.interference
    return [found.depth, found.recovered, found.recovery, *astuple(own)]


def _whole(values: list[float]) -> Dynamics:
    depth, recovered, recovery, *others = values
    return Dynamics(depth, recovered, recovery, Interference(*others))
