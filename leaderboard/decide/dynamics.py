"""How each class fares while others are learned: shock, recovery and interference, from a trial's table of accuracies.

The subject is that of Frati, Traft, Clune, Cheney, *How Weight Resampling and Optimizers Shape the Dynamics of
Continual Learning and Forgetting in Neural Networks* (2025): models that were pre-trained with zapping recover faster
from the shock of transfer, and the optimiser shapes synergy and interference between classes. Only the paper's
abstract could be read, so the definitions here are ours (unverified against the paper).

A table is `(points, classes)`: row `t` is what was measured after `steps[t]` classes, column `k` the class that was
learned as the `k`-th, counted from 0. It may hold accuracies, or losses, which are measured on classes to come, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]
"""`(points, classes)`; NaN where a class was not measured."""


class Shock(NamedTuple):
    """The first drop of a curve.

    Attributes:
        depth: how far it falls, from the point before the drop to its bottom; 0 where the curve never falls.
        recovery: points from the bottom until the level before the drop is reached again; 0 where the curve never
            falls, None where the level is not reached.
    """

    depth: float
    recovery: int | None


def shock(curve: Sequence[float]) -> Shock:
    """Returns the first drop of a curve: it begins where the curve first falls, and ends where it first rises again.

    >>> shock([0.8, 0.8, 0.5, 0.2, 0.6, 0.9])
    Shock(depth=0.6000000000000001, recovery=2)
    """
    falls = [place for place in range(1, len(curve)) if curve[place] < curve[place - 1]]
    if not falls:
        return Shock(0.0, 0)
    bottom = falls[0]
    while bottom + 1 < len(curve) and curve[bottom + 1] <= curve[bottom]:
        bottom += 1
    level = curve[falls[0] - 1]
    first = next(place for place in range(falls[0], bottom + 1) if curve[place] == curve[bottom])
    back = (place for place in range(bottom, len(curve)) if curve[place] >= level)
    found = next(back, None)
    return Shock(level - curve[bottom], None if found is None else found - first)


def changes(table: Table) -> Table:
    """Returns how the steps before each point changed each class: row minus row before; the first row is NaN."""
    return np.vstack([np.full((1, table.shape[1]), np.nan), np.diff(table, axis=0)])


@dataclass(frozen=True)
class Interference:
    """What learning a class does to others: means over classes learned and affected; NaN where none was measured.

    Attributes:
        earlier: change of the classes learned before.
        falls: the part of `earlier` that consists of falls, at most 0: of accuracies, harm.
        rises: the part of it that consists of rises, at least 0: of accuracies, synergy.
        to_come: change of the classes to be learned later.
    """

    earlier: float
    falls: float
    rises: float
    to_come: float


def interference(table: Table, steps: Sequence[int]) -> Interference:
    """Returns the interference of a trial.

    Args:
        table: measured after every class; of classes to come, NaN or a value.
        steps: classes learned at each point.

    Raises:
        ValueError: the trial was not measured after every class.
    """
    check_every_class(table, steps)
    moved = changes(table)
    point, place = np.indices(table.shape)
    before = moved[(place < point) & ~np.isnan(moved)]
    after = moved[(place > point) & ~np.isnan(moved)]
    return Interference(
        earlier=_mean(before),
        falls=_mean(np.minimum(before, 0.0)),
        rises=_mean(np.maximum(before, 0.0)),
        to_come=_mean(after),
    )


class Dynamics(NamedTuple):
    """One trial, or the mean of several, in shares of the measure.

    Attributes:
        depth: mean over all but the last class of the depth of its first drop after it was learned.
        recovered: share of the classes with a drop that reached their level again, in [0, 1]; NaN where none dropped.
        recovery: mean number of classes learned until then, of those that did; NaN where none did.
        interference: what learning a class does to others.
    """

    depth: float
    recovered: float
    recovery: float
    interference: Interference


def dynamics(table: Table, steps: Sequence[int]) -> Dynamics:
    """Returns the dynamics of a trial that was measured after every class.

    Raises:
        ValueError: it was not, or it has a single class.
    """
    check_every_class(table, steps)
    if table.shape[1] < 2:
        raise ValueError("dynamics takes two classes")
    shocks = [shock(table[place:, place].tolist()) for place in range(table.shape[1] - 1)]
    dropped = [found for found in shocks if found.depth > 0]
    times = [found.recovery for found in dropped if found.recovery is not None]
    return Dynamics(
        depth=_mean(np.array([found.depth for found in shocks])),
        recovered=len(times) / len(dropped) if dropped else float("nan"),
        recovery=_mean(np.array(times, dtype=np.float64)),
        interference=interference(table, steps),
    )


def check_every_class(table: Table, steps: Sequence[int]) -> None:
    """Checks that there is a point after every class.

    Raises:
        ValueError: there is not.
    """
    if list(steps) != list(range(1, table.shape[1] + 1)) or len(table) != len(steps):
        raise ValueError(
            f"measured at {len(steps)} points of {table.shape[1]} classes; dynamics takes a point after every class "
            "(`transfer/sequential_transfer.every = 1`)"
        )


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
