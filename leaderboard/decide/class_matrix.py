"""The class x time matrix of one trial of each method: the accuracy of every class at every point."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.curves import trials_of
from zapbench.leaderboard.decide.select import reported
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.forgetting import Accuracies, accuracies
from zapbench.leaderboard.read.parse import correct_per_class
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
    table: Accuracies


def class_matrices(logs: Logs, table: Table) -> list[ClassMatrix]:
    """Returns, for each row, the matrix of its first reported trial that recorded one; none for rows without."""
    images = logs.facts.get(table.fingerprint, {}).get("images_held_out")
    if not isinstance(images, int):
        return []
    trials = trials_of(logs, table)
    found = []
    for row in table.rows:
        own = reported(trials[trials["method"] == row.method], table.choices[row.method])
        own = own[own["status"] == contract.FINISHED].sort_values(["pretrain_seed", "transfer_seed"])
        for place, trial in own.iterrows():
            if (matrix := _matrix(logs, row.method, int(str(place)), trial, images)) is not None:
                found.append(matrix)
                break
    return found


def _matrix(logs: Logs, method: str, place: int, trial: "pd.Series[Any]", images: int) -> ClassMatrix | None:
    """Returns the matrix of a trial; None where it holds none, or one that does not fit its points."""
    try:
        correct = correct_per_class(logs.path(trial["file"]))
        if correct is None or len(correct) < 2:
            return None
        points = logs.curves[logs.curves["trial"] == place]
        steps = [int(step) for step in points["step"]]
        learned = steps if trial["protocol"].startswith("sequential") else [correct.shape[1]] * len(steps)
        table = accuracies(correct, learned, images)
    except (OSError, ValueError):
        return None
    return ClassMatrix(method, int(trial["pretrain_seed"]), int(trial["transfer_seed"]), steps, table)
