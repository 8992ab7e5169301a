"""What the checks of a submission look at in each finished trial: its curve, and the accuracies of its classes."""

from collections.abc import Collection, Iterator, Sequence
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
        model: what identifies the pre-trained model: scenario, configuration or given weights, and seed.
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
    places = np.flatnonzero(_are_wanted(logs, fingerprints))[:MOST_TRIALS]
    rows = logs.trials.iloc[places].to_dict("records")
    return [
        _trial(row, points[starts[place] : starts[place + 1]], classes_of(logs.path(row["file"])))
        for place, row in zip(places, rows)
    ]


def _are_wanted(logs: Logs, fingerprints: Collection[str] | None) -> npt.NDArray[np.bool_]:
    wanted = logs.trials["status"] == contract.FINISHED
    if fingerprints is not None:
        wanted &= logs.trials["fingerprint"].isin(fingerprints)
    return wanted.to_numpy(dtype=bool)


def on_limits(logs: Logs, found: Sequence[Trial], fingerprints: Collection[str] | None = None) -> Iterator[str]:
    """Says what of some logs the checks did not look at.

    Args:
        logs: the logs.
        found: their `finished_trials`.
        fingerprints: as of `finished_trials`; None for those of a submission.
    """
    where = "" if fingerprints is None else " in the logs beside it"
    yield from beyond(int(_are_wanted(logs, fingerprints).sum()), MOST_TRIALS, f"finished trials{where}")
    stated = set(logs.trials["file"][logs.trials["class_mean"].notna()])
    if long := [trial.file for trial in found if not trial.classes.size and trial.file in stated]:
        yield (
            f"{len(long)} trials{where} state the accuracies of more than {MOST_CLASSES:,} classes, which were not "
            f"looked at ({long[0]})"
        )


def beyond(count: int, most: int, what: str) -> Iterator[str]:
    """Says how many were not looked at, because there are more than a check looks at."""
    if count > most:
        yield f"{count - most:,} of {count:,} {what} were not looked at; {most:,} are"


def _trial(row: dict[Any, Any], curve: Array, classes: Array) -> Trial:
    return Trial(
        method=row["method"],
        role=row["role"],
        fingerprint=row["fingerprint"],
        draw=(row["pretrain_seed"], row["transfer_seed"]),
        model=(row["scenario"], row["config_hash"] + row["weights"], row["pretrain_seed"]),
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
