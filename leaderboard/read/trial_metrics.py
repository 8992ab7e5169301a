"""Metrics of one trial for the columns of a table; those of `forgetting` where its record holds what they need."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from zapbench.leaderboard.contract import Description
from zapbench.leaderboard.read import forgetting
from zapbench.leaderboard.read.forgetting import Accuracies

OF_CLASSES: dict[str, Callable[[Accuracies, Sequence[int]], float]] = {
    "learning_accuracy": forgetting.learning_accuracy,
    "backward_transfer": forgetting.backward_transfer,
    "forgetting_at_tenths": forgetting.forgetting,
    "retention_newest": lambda table, steps: forgetting.retention_by_age(table)[0],
    "retention_oldest": lambda table, steps: forgetting.retention_by_age(table)[-1],
}
"""Metrics that are computed from the accuracy of each class at each point, of sequential transfer."""
METRICS = ("average_incremental", *OF_CLASSES)


def metrics(
    about: Description | None, curve: tuple[Sequence[int], Sequence[float]], correct: npt.NDArray[np.int64] | None
) -> dict[str, float | None]:
    """Returns the metrics of a trial; None where its record does not hold what one of them needs.

    Args:
        about: its description.
        curve: steps and held-out accuracies.
        correct: held-out images predicted right, `(points, classes)`.
    """
    steps, accuracies = curve
    found: dict[str, float | None] = dict.fromkeys(METRICS)
    if about is None or about.transfer is None or not steps:
        return found
    found["average_incremental"] = _at_tenths(dict(zip(steps, accuracies)))
    images = about.fingerprint_fields.get("images_held_out")
    if correct is None or not isinstance(images, int) or not str(about.protocol).startswith("sequential"):
        return found
    try:
        table = forgetting.accuracies(correct, steps, images)
    except ValueError:
        return found
    for name, metric in OF_CLASSES.items():
        try:
            found[name] = metric(table, steps)
        except ValueError:  # the trial was not measured where this one needs it
            continue
    return found


def _at_tenths(curve: dict[int, float]) -> float | None:
    """Returns the mean of a curve over each tenth of its steps; None where one of them was not measured.

    >>> _at_tenths({1: 1.0, 2: 0.5}), _at_tenths({2: 0.5})
    (0.75, None)
    """
    wanted = forgetting.tenths(max(curve))
    known = [curve[step] for step in wanted if step in curve]
    return sum(known) / len(known) if len(known) == len(wanted) else None


def cadence(steps: Sequence[int]) -> str:
    """Returns a mark of the points at which a trial was measured: equal where they are."""
    return hashlib.sha256(",".join(map(str, steps)).encode()).hexdigest()[:8] if steps else ""
