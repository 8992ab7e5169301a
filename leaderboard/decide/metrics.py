"""By which recorded metric a table ranks: final held-out accuracy, or another one on request."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.select import score
from zapbench.text import nearest


@dataclass(frozen=True)
class Metric:
    """A number for each trial.

    Attributes:
        name: how it is asked for.
        label: what it is called above a column, in percent.
        meaning: what it is, for a note.
        column: of `Logs.trials`.
        is_accuracy: whether guessing scores chance, which then is the score of a trial that diverged.
        smallest_first: whether less is better.
    """

    name: str
    label: str
    meaning: str
    column: str
    is_accuracy: bool = True
    smallest_first: bool = False


FINAL = Metric("final", "held-out %", "final held-out accuracy", "held_out")

METRICS = {
    metric.name: metric
    for metric in (
        FINAL,
        Metric(
            "average_incremental",
            "average incremental %",
            "mean over each tenth of the trajectory of the held-out accuracy (Rebuffi et al. 2017)",
            "average_incremental",
        ),
        Metric("trained_on", "trained-on %", "final accuracy on the images trained on", "trained_on"),
        Metric("seen", "held-out % of classes seen", "final accuracy among the classes seen", "held_out_seen"),
        Metric(
            "learning_accuracy",
            "learning accuracy %",
            "mean accuracy of each class right after it was learned (Riemer et al. 2019)",
            "learning_accuracy",
        ),
        Metric(
            "forgetting",
            "forgetting %",
            "mean over classes of the best accuracy at the points measured minus the last",
            "forgetting",
            is_accuracy=False,
            smallest_first=True,
        ),
        Metric(
            "backward_transfer",
            "backward transfer %",
            "mean over classes of the last accuracy minus that right after learning (Lopez-Paz and Ranzato 2017)",
            "backward_transfer",
            is_accuracy=False,
        ),
    )
}
"""By name."""


def metric_named(name: str) -> Metric:
    """Returns a metric.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}{nearest(name, METRICS)}; known: {', '.join(METRICS)}")
    return METRICS[name]


def measured(trials: pd.DataFrame, metric: Metric, *, one_cadence: bool) -> pd.Series:
    """Returns a metric of each trial, as statistics take it; NaN where it was not recorded.

    A diverged trial has chance, if the metric is an accuracy, and no value otherwise.

    Args:
        trials: rows of `Logs.trials`.
        metric: what is measured.
        one_cadence: whether all trials of the table were measured at the same points, which forgetting depends on.
    """
    if metric.is_accuracy:
        return score(trials, metric.column)
    values = trials[metric.column].astype(float)
    comparable = one_cadence or metric.column != "forgetting"
    return values.where((trials["status"] == contract.FINISHED) & comparable, np.nan)
