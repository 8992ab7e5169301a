"""What the checks of a submission look at in each finished trial: its curve, and the accuracies of its classes."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.events import numbers_of
from zapbench.leaderboard.read.parse import first_value
from zapbench.leaderboard.read.tabulate import Logs

Array = npt.NDArray[np.float64]

MOST_CLASSES = 10_000
"""Of a trial; of more, the accuracies are not looked at."""

MOST_TRIALS = 20_000
"""Of logs beside a submission that it is compared with."""


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
        method: the row's name.
        role: `report` or `select`.
        fingerprint: what its score can be compared with.
        draw: seeds of pre-training and transfer: together they decide the classes and images drawn.
        model: what identifies the pre-trained model: scenario, configuration and seed.
        transfer: the transfer's name.
        protocol: how new classes are learned.
        candidate: the setting.
        rate: transfer learning rate.
        steps: of its curve.
        held_out: held-out accuracy at these steps.
        classes: final accuracy of each class, in the order learned; empty where not recorded.
        file: where it is, as the logs call it.
    """

    method: str
    role: str
    fingerprint: str
    draw: tuple[int, int]
    model: tuple[str, str, int]
    transfer: str
    protocol: str
    candidate: str
    rate: float
    steps: tuple[int, ...]
    held_out: Array
    classes: Array
    file: str


def finished_trials(logs: Logs, fingerprints: Collection[str] | None = None) -> list[Trial]:
    """Returns the finished trials of some logs, of some fingerprints alone where these are given."""
    points = logs.curves.to_numpy(dtype=np.float64)
    starts = np.searchsorted(points[:, 0], np.arange(len(logs.trials) + 1))
    found = []
    for place, row in enumerate(logs.trials.to_dict("records")):
        wanted = fingerprints is None or row["fingerprint"] in fingerprints
        if row["status"] == contract.FINISHED and wanted:
            curve = points[starts[place] : starts[place + 1]]
            found.append(_trial(row, curve, classes_of(logs.path(row["file"]))))
            if len(found) == MOST_TRIALS:
                break
    return found


def _trial(row: dict[Any, Any], curve: Array, classes: Array) -> Trial:
    return Trial(
        method=row["method"],
        role=row["role"],
        fingerprint=row["fingerprint"],
        draw=(row["pretrain_seed"], row["transfer_seed"]),
        model=(row["scenario"], row["config_hash"], row["pretrain_seed"]),
        transfer=row["transfer"],
        protocol=str(row["protocol"]),
        candidate=row["candidate"],
        rate=row["rate"],
        steps=tuple(curve[:, 1].astype(int).tolist()),
        held_out=curve[:, 2],
        classes=classes,
        file=row["file"],
    )


def classes_of(path: Path) -> Array:
    """Returns the final accuracy of each class of a trial, in the order learned; nothing where it is not recorded."""
    try:
        value = first_value(path, contract.CLASS_ACCURACY)
        numbers = [] if value is None else numbers_of(value)
    except (OSError, ValueError):
        numbers = []
    return np.asarray(numbers if len(numbers) <= MOST_CLASSES else [], dtype=np.float64)
