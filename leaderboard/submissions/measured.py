"""Whether a trial's curve is what its own table of correct predictions says, and whether anything varies at all."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import correct_per_class
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.submissions.evidence import Trial

CLOSE = 1e-3
LEAST_TRIALS = 6
"""Reported trials from which one and the same final accuracy in all is suspicious."""


def on_tables_of_predictions(logs: Logs, trials: list[Trial]) -> Iterator[str]:
    """Says which reported curve is another than its table of correct predictions gives."""
    for trial in trials:
        if trial.role == contract.REPORT and (problem := _contradiction(logs, trial)):
            yield f"{trial.file}: {problem}"


def _contradiction(logs: Logs, trial: Trial) -> str:
    try:
        correct = correct_per_class(logs.path(trial.file))
    except ValueError as error:
        return str(error)
    if correct is None:
        return ""
    facts = logs.facts[trial.fingerprint]
    images, classes = facts["images_held_out"], facts["classes_per_trial"]
    if not (isinstance(images, int) and isinstance(classes, int) and images > 0 and classes > 0):
        return ""
    if correct.shape != (len(trial.steps), classes):
        return f"its table of correct predictions has shape {correct.shape}; expected {(len(trial.steps), classes)}"
    if correct.max(initial=0) > images:
        return f"its table of correct predictions holds {correct.max()} of {images} images"
    steps = np.array(trial.steps)
    seen = np.minimum(steps, classes) if facts["protocol"] == "sequential" else np.full(len(steps), classes)
    learned = np.arange(1, classes + 1) <= seen[:, None]
    accuracy = np.where(learned, correct, 0).sum(axis=1) / (seen * images)
    wrong = np.abs(accuracy - trial.held_out) > CLOSE
    if wrong.any():
        place = int(np.argmax(wrong))
        return (
            f"at step {steps[place]} its accuracy is {100 * trial.held_out[place]:.1f}%, and its table of correct "
            f"predictions gives {100 * accuracy[place]:.1f}%"
        )
    return ""


def without_spread(logs: Logs) -> Iterator[str]:
    """Says which method ends at the same accuracy in all its reported trials, above chance and below 100%."""
    ended = logs.trials[(logs.trials["role"] == contract.REPORT) & (logs.trials["status"] == contract.FINISHED)]
    for (_, method), own in ended.groupby(["fingerprint", "method"], sort=True):
        if len(own) >= LEAST_TRIALS and own["held_out"].nunique() == 1:
            score = float(own["held_out"].iloc[0])
            if not math.isnan(score) and 2 * float(pd.Series(own["chance"]).max()) < score < 1:
                yield f"{method}: its {len(own)} reported trials all end at {100 * score:.1f}%"
