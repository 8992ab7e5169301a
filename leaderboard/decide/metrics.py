"""By which recorded metric a table ranks: final held-out accuracy, or another one on request."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import forgetting
from zapbench.leaderboard.decide.forgetting import Accuracies
from zapbench.leaderboard.decide.select import score
from zapbench.leaderboard.read.parse import correct_per_class
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import nearest

OfTable = Callable[[Accuracies, Sequence[int]], float]


@dataclass(frozen=True)
class Metric:
    """A number for each trial.

    Attributes:
        name: how it is asked for.
        label: what it is called above a column, in percent.
        meaning: what it is, for a note.
        column: of `Logs.trials`; empty where it is computed from the trial's table of correct predictions.
        of_table: computes it from that table and its steps.
        is_accuracy: whether guessing scores chance, which then is the score of a trial that diverged.
        smallest_first: whether less is better.
    """

    name: str
    label: str
    meaning: str
    column: str = ""
    of_table: OfTable | None = None
    is_accuracy: bool = True
    smallest_first: bool = False


FINAL = Metric("final", "held-out %", "final held-out accuracy", "held_out")

METRICS = {
    metric.name: metric
    for metric in (
        FINAL,
        Metric("average_incremental", "average incremental %", "mean held-out accuracy over the trajectory", "area"),
        Metric("trained_on", "trained-on %", "final accuracy on the images trained on", "trained_on"),
        Metric("seen", "held-out % of classes seen", "final accuracy among the classes seen", "held_out_seen"),
        Metric(
            "learning_accuracy",
            "learning accuracy %",
            "mean accuracy of each class right after it was learned (Riemer et al. 2019)",
            of_table=forgetting.learning_accuracy,
        ),
        Metric(
            "forgetting",
            "forgetting %",
            "mean over classes of the best accuracy so far minus the last",
            "forgetting",
            is_accuracy=False,
            smallest_first=True,
        ),
        Metric(
            "backward_transfer",
            "backward transfer %",
            "mean over classes of the last accuracy minus that right after learning (Lopez-Paz and Ranzato 2017)",
            of_table=forgetting.backward_transfer,
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


def measured(logs: Logs, trials: pd.DataFrame, metric: Metric) -> pd.Series:
    """Returns a metric of each trial, as statistics take it; NaN where it was not recorded.

    A diverged trial has chance, if the metric is an accuracy, and no value otherwise.

    Args:
        logs: for the files of the trials.
        trials: rows of `Logs.trials`.
        metric: what is measured.
    """
    if metric.column:
        values = trials[metric.column].astype(float)
    else:
        steps = {place: own.tolist() for place, own in logs.curves.groupby("trial")["step"]}
        rows = zip(trials.index, trials.to_dict("records"))
        of_files = [_of_file(logs, row, steps.get(place, []), metric) for place, row in rows]
        values = pd.Series(of_files, trials.index, dtype=float)
    if metric.is_accuracy:
        return score(trials.assign(value=values), "value")
    return values.where(trials["status"] == contract.FINISHED, np.nan)


def _of_file(logs: Logs, trial: dict[Hashable, object], steps: Sequence[int], metric: Metric) -> float:
    """Returns a metric of one trial from its table of correct predictions; NaN where there is none, or not enough."""
    facts = logs.facts[str(trial["fingerprint"])]
    assert metric.of_table is not None
    try:
        correct = correct_per_class(logs.path(str(trial["file"])))
        if correct is None or facts["protocol"] != "sequential":
            return float("nan")
        return metric.of_table(forgetting.accuracies(correct, steps, int(facts["images_held_out"])), steps)
    except (OSError, ValueError, TypeError):
        return float("nan")
