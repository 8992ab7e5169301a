"""One row of a table: what one method scored at its selected setting, and what it cost."""

import math
from collections import defaultdict
from dataclasses import dataclass

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import Estimate
from zapbench.leaderboard.decide.select import Chosen
from zapbench.leaderboard.read.tabulate import PLASTICITY
from zapbench.leaderboard.read.trial_metrics import METRICS

OF_TRIALS = ("held_out_seen", "held_out_loss", "trained_on_loss", *METRICS)
"""Fields of a row that are means over seeds of what trials recorded."""


@dataclass(frozen=True)
class Row:
    """One method of a table.

    Attributes:
        method: the row's name.
        rank: one plus the number of significantly better methods; None where it cannot be ranked.
        letters: significance groups: methods that share one are not significantly different; empty where not compared.
        held_out: final held-out accuracy over pre-training seeds.
        trained_on: mean final accuracy on the images trained on; NaN, as is all that follows and is recorded by trials,
            where a trial diverged.
        forgetting: mean final forgetting over the points at which trials were measured; NaN where the table's trials
            were measured at different points, or at their end alone.
        forgetting_at_tenths: mean forgetting over the fixed points (Chaudhry et al. 2018), NaN where not recorded; as
            are all metrics from here on.
        average_incremental: mean over the fixed points of the accuracy on the classes seen (Rebuffi et al. 2017).
        learning_accuracy: mean accuracy of a class right after it was learned (Riemer et al. 2019).
        backward_transfer: mean of a class's last accuracy minus that (Lopez-Paz and Ranzato 2017).
        retention_newest: last accuracy of the tenth of the classes that was learned last.
        retention_oldest: last accuracy of the tenth of the classes that was learned first.
        held_out_seen: final held-out accuracy where predictions are among the classes seen.
        held_out_loss: final mean cross-entropy on held-out images, in nats.
        trained_on_loss: the same on the images trained on.
        effective_rank: of the pre-trained encoder's features.
        dormant_units: share of them that are dormant, in [0, 1].
        weight_norm: root mean square of the pre-trained encoder's parameters.
        validation: mean pre-training validation accuracy; NaN where none was recorded.
        setting: the selected values of the tuned bindings.
        rate: the selected transfer rate.
        settings_tried: pre-training settings times transfer rates tried.
        trials: reported trials.
        diverged: those of them that diverged (each counts as chance).
        encoder: the network, and the images it sees.
        images_seen: images that pre-training took, repeats counted; NaN where not recorded.
        gradient_steps: gradient steps of pre-training; NaN where not recorded.
        flops: nominal FLOPs of pre-training; NaN where not recorded.
        parameters: trainable parameters in pre-training.
        cores: most cores that a process took in pre-training; NaN where not recorded.
        seconds: mean seconds of pre-training.
        transfer_seconds: mean seconds of a reported trial.
        memory: peak memory of pre-training and reported trials in bytes.
        scored: the metric that the table ranks by, over pre-training seeds: `held_out`, if no other is asked for.
    """

    method: str
    rank: int | None
    letters: str
    held_out: Estimate
    trained_on: float
    forgetting: float
    forgetting_at_tenths: float
    average_incremental: float
    learning_accuracy: float
    backward_transfer: float
    retention_newest: float
    retention_oldest: float
    held_out_seen: float
    held_out_loss: float
    trained_on_loss: float
    effective_rank: float
    dormant_units: float
    weight_norm: float
    validation: float
    setting: str
    rate: float
    settings_tried: int
    trials: int
    diverged: int
    encoder: str
    images_seen: float
    gradient_steps: float
    flops: float
    parameters: int
    cores: float
    seconds: float
    transfer_seconds: float
    memory: float
    scored: Estimate


def models_of(runs: pd.DataFrame, trials: pd.DataFrame) -> "pd.Series[bool]":
    """Returns which pre-trained models the trials of one method at one setting are of.

    A record of a pre-training belongs to the trials of its folder. Where that has none, it is the record that an
    earlier folder has of the same task; what a later folder says of a row changes nothing.
    """
    keys = ["config_hash", "pretrain_seed", "weights"]
    needed = dict(zip(zip(*(trials[key] for key in keys)), trials["place"]))
    places: dict[tuple[object, ...], set[int]] = defaultdict(set)
    of_runs = list(zip(zip(*(runs[key] for key in keys)), runs["place"]))
    for key, place in of_runs:
        if key in needed and place <= needed[key]:
            places[key].add(place)
    taken = {key: needed[key] if needed[key] in found else min(found) for key, found in places.items()}
    return pd.Series([taken.get(key) == place for key, place in of_runs], index=runs.index, dtype=bool)


def row_of(
    choice: Chosen,
    trials: pd.DataFrame,
    runs: pd.DataFrame,
    *,
    rank: int | None,
    letters: str,
    one_cadence: bool,
) -> Row:
    """Returns the row of a method.

    Args:
        choice: its selected setting.
        trials: its reported trials at that setting, with columns `score`, what the table ranks by, and `final`.
        runs: the pre-trained models of the table's scenario.
        rank: its rank, where it has one.
        letters: its significance groups.
        one_cadence: whether forgetting over the measured points can stand beside that of the other rows.
    """
    own = runs[models_of(runs, trials)]
    diverged = int((trials["status"] == contract.DIVERGED).sum())
    several = not diverged and bool((trials[trials["status"] == contract.FINISHED]["measured"] > 1).all())
    tried = max(int(trials["settings_tried"].max()), choice.grid["candidate"].nunique())
    parameters = own["parameters"].max()
    return Row(
        method=choice.method,
        rank=rank,
        letters=letters,
        held_out=compare.estimate(seed_means(trials, "final")),
        trained_on=math.nan if diverged else _mean_over_seeds(trials, "trained_on"),
        forgetting=_mean_over_seeds(trials, "forgetting") if one_cadence and several else math.nan,
        **{name: math.nan if diverged else _complete_mean(trials, name) for name in OF_TRIALS},
        **{name: float(own[name].mean()) for name in PLASTICITY},
        validation=float(own["validation"].mean()),
        setting=choice.setting,
        rate=choice.rate,
        settings_tried=tried * choice.grid["rate"].nunique(),
        trials=len(trials),
        diverged=diverged,
        encoder=f"{trials['encoder'].iloc[0]} {trials['input_size'].iloc[0]}".strip(),
        images_seen=float(own["images_seen"].mean()),
        gradient_steps=float(own["gradient_steps"].mean()),
        flops=float(own["flops"].mean()),
        parameters=0 if pd.isna(parameters) else int(parameters),
        cores=float(own["threads"].max()),
        seconds=float(own["seconds"].mean()),
        transfer_seconds=float(trials["seconds"].mean()),
        memory=float(pd.concat([own["peak_memory"], trials["peak_memory"]]).max()),
        scored=compare.estimate(seed_means(trials)),
    )


def seed_means(trials: pd.DataFrame, column: str = "score") -> list[float]:
    """Returns the mean score of each pre-training seed, seeds in ascending order."""
    return [float(value) for value in trials.groupby("pretrain_seed")[column].mean()]


def _mean_over_seeds(trials: pd.DataFrame, column: str) -> float:
    return float(trials.groupby("pretrain_seed")[column].mean().mean())


def _complete_mean(trials: pd.DataFrame, column: str) -> float:
    """Returns the mean over seeds; NaN where a trial lacks the value, as those of older versions do."""
    return math.nan if trials[column].isna().any() else _mean_over_seeds(trials, column)


def is_number(value: float) -> bool:
    """Returns whether a value is a finite number."""
    return not (math.isnan(value) or math.isinf(value))
