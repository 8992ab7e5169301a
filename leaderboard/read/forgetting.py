"""What a trial's table of correct predictions says about forgetting; formulas in `docs/explanation/metrics.md`.

Everything here is for sequential transfer. Class `k` (from 1) is learned as the `k`-th; `a[t, k]` is its accuracy on
held-out images after `t` classes. A metric that needs `a` at certain `t` takes them from the table and raises where the
trial was not measured there: so no value depends on how often a trial was measured.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Accuracies = npt.NDArray[np.float64]
"""`(points, classes)`, in [0, 1]; NaN where a class was not learned yet."""

TENTHS = 10
"""Points of the fixed set: after each tenth of the classes."""


def accuracies(correct: npt.NDArray[np.integer], steps: Sequence[int], images: int) -> Accuracies:
    """Returns `a`, from a trial's counts.

    Args:
        correct: held-out images predicted right, `(points, classes)`.
        steps: classes learned at each point.
        images: held-out images per class.

    Raises:
        ValueError: the shapes do not fit each other, or a count is not in 0 to `images`.
    """
    if correct.ndim != 2 or len(correct) != len(steps):
        raise ValueError(f"counts of shape {correct.shape} at {len(steps)} points; expected (points, classes)")
    if images < 1 or correct.min(initial=0) < 0 or correct.max(initial=0) > images:
        raise ValueError(f"counts reach from {correct.min(initial=0)} to {correct.max(initial=0)} of {images} images")
    learned = np.arange(1, correct.shape[1] + 1) <= np.asarray(steps)[:, None]
    return np.where(learned, correct / images, np.nan)


def tenths(classes: int) -> list[int]:
    """Returns the fixed set of points of a trial: after each tenth of its classes, rounded up, without repeats.

    >>> tenths(25)
    [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    """
    return sorted({-(-classes * part // TENTHS) for part in range(1, TENTHS + 1)})


def at_points(table: Accuracies, steps: Sequence[int], wanted: Sequence[int]) -> Accuracies:
    """Returns the rows of some points.

    Raises:
        ValueError: the trial was not measured at one of them.
    """
    place = {step: row for row, step in enumerate(steps)}
    missing = [step for step in wanted if step not in place]
    if missing:
        raise ValueError(
            f"not measured after {missing[0]} classes ({len(missing)} of {len(wanted)} points are missing)"
        )
    return table[[place[step] for step in wanted]]


def average_incremental_accuracy(table: Accuracies, steps: Sequence[int]) -> float:
    """Returns the mean over the fixed points of the mean accuracy of the classes learned (Rebuffi et al. 2017).

    Raises:
        ValueError: the trial was not measured at one of the fixed points.
    """
    return float(np.nanmean(at_points(table, steps, tenths(table.shape[1])), axis=1).mean())


def forgetting(table: Accuracies, steps: Sequence[int]) -> float:
    """Returns the mean over all but the last class of its best accuracy at earlier fixed points minus its last.

    Chaudhry et al. 2018, equation 3, where the maximum is over the fixed points before the last at which the class was
    learned; a class that was learned after all of them has no such point and does not count. It may be negative.

    Raises:
        ValueError: the trial was not measured at one of the fixed points, or has too few of them.
    """
    rows = at_points(table, steps, tenths(table.shape[1]))
    counted = ~np.isnan(rows[:-1]).all(axis=0) if len(rows) > 1 else np.zeros(table.shape[1], dtype=bool)
    if not counted.any():
        raise ValueError("forgetting takes two points at which a class is measured")
    return float((np.nanmax(rows[:-1, counted], axis=0) - rows[-1, counted]).mean())


def learning_accuracy(table: Accuracies, steps: Sequence[int]) -> float:
    """Returns the mean over classes of the accuracy right after the class was learned (Riemer et al. 2019).

    Raises:
        ValueError: the trial was not measured after every class.
    """
    return float(_right_after(table, steps).mean())


def backward_transfer(table: Accuracies, steps: Sequence[int]) -> float:
    """Returns the mean over all but the last class of its last accuracy minus that right after it was learned.

    Lopez-Paz and Ranzato 2017, section 3.1. Negative where classes are forgotten.

    Raises:
        ValueError: the trial was not measured after every class, or has one class.
    """
    if table.shape[1] < 2:
        raise ValueError("backward transfer takes two classes")
    return float((table[-1, :-1] - _right_after(table, steps)[:-1]).mean())


def retention_by_age(table: Accuracies, groups: int = TENTHS) -> list[float]:
    """Returns the last accuracy of classes by age, from those learned last to those learned first.

    Args:
        table: of a trial that was measured after its last class.
        groups: of consecutive classes; as equal in size as can be, at most one per class.
    """
    newest_first = table[-1, ::-1]
    return [float(part.mean()) for part in np.array_split(newest_first, min(groups, len(newest_first)))]


def _right_after(table: Accuracies, steps: Sequence[int]) -> Accuracies:
    return np.diagonal(at_points(table, steps, range(1, table.shape[1] + 1)))
