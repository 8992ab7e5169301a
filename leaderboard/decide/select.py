"""Selects a setting and a transfer rate for each method, on selection trials or, as in the paper, on reported ones."""

from dataclasses import dataclass

import pandas as pd

from zapbench.leaderboard import contract


@dataclass(frozen=True)
class Chosen:
    """The selected setting of one method.

    Attributes:
        method: the row's name.
        candidate: identifies the setting: hashes of the configurations of pre-training and of the transfer.
        setting: the setting in words; empty where nothing was tuned.
        rate: transfer learning rate.
        accuracy: mean over pre-training seeds of the mean held-out accuracy of the trials it was selected on.
        grid: every candidate: setting, rate, candidate, accuracy, seeds, `complete` (whether it was selected among) and
            `shared` (its accuracy on the seeds of `shared_seeds`; NaN without such seeds); best first, complete ones
            before the others.
        shared_seeds: the pre-training seeds that all candidates have.
        by: `select` or `paper`; empty where there was nothing to select.
    """

    method: str
    candidate: str
    setting: str
    rate: float
    accuracy: float
    grid: pd.DataFrame
    shared_seeds: tuple[int, ...]
    by: str

    @property
    def config_hash(self) -> str:
        """Hash of the configuration of pre-training."""
        return self.candidate.split("/")[0]


def score(trials: pd.DataFrame, column: str = "held_out") -> pd.Series:
    """Returns each trial's score as statistics take it: chance where it diverged."""
    return trials[column].astype(float).where(trials["status"] != contract.DIVERGED, trials["chance"])


def reported(trials: pd.DataFrame, choice: Chosen) -> pd.DataFrame:
    """Returns the reported trials of a selected setting, with a column `score`: what a row is computed from."""
    rows = trials[(trials["method"] == choice.method) & (trials["role"] == contract.REPORT)]
    rows = rows[(rows["candidate"] == choice.candidate) & (rows["rate"] == choice.rate)]
    rows = rows[rows["status"].isin(contract.ENDED)]
    return rows.assign(score=score(rows))


def choose(trials: pd.DataFrame, *, by: str = "select") -> dict[str, Chosen]:
    """Selects a setting and a rate for each method of one table.

    The candidate with the highest mean over pre-training seeds wins; ties go to the smaller rate. A candidate that
    lacks a seed which another candidate of the method has is excluded.

    Args:
        trials: `Logs.trials` of one scenario and protocol; finished and diverged ones are used.
        by: `select` takes the selection trials, `paper` the reported ones. A method without selection trials that
            was run with one candidate alone needs no selection.
    """
    usable = trials[trials["status"].isin(contract.ENDED)]
    usable = usable.assign(score=score(usable))
    chosen = {}
    for method, rows in usable.groupby("method", sort=True):
        candidates = rows[rows["role"] == (contract.SELECT if by == "select" else contract.REPORT)]
        alone = candidates.empty and rows.groupby(["candidate", "rate"]).ngroups == 1
        if alone:
            candidates = rows
        if candidates.empty:
            continue
        grid, shared = _grid(candidates)
        best = grid.iloc[0]
        chosen[str(method)] = Chosen(
            method=str(method),
            candidate=str(best["candidate"]),
            setting=str(best["setting"]),
            rate=float(best["rate"]),
            accuracy=float(best["accuracy"]),
            grid=grid,
            shared_seeds=shared,
            by="" if alone else by,
        )
    return chosen


def _grid(candidates: pd.DataFrame) -> tuple[pd.DataFrame, tuple[int, ...]]:
    keys = ["candidate", "setting", "rate"]
    seeds = candidates.groupby([*keys, "pretrain_seed"], as_index=False)["score"].mean()
    grid = seeds.groupby(keys, as_index=False).agg(accuracy=("score", "mean"), seeds=("score", "size"))
    having = seeds.groupby("pretrain_seed").size()
    shared = tuple(sorted(int(seed) for seed in having[having == len(grid)].index))
    on_shared = seeds[seeds["pretrain_seed"].isin(shared)].groupby(keys, as_index=False).agg(shared=("score", "mean"))
    grid = grid.merge(on_shared, on=keys, how="left").assign(complete=grid["seeds"] == grid["seeds"].max())
    order = ["complete", "accuracy", "rate", "setting"]
    best_first = grid.sort_values(order, ascending=[False, False, True, True], kind="stable", ignore_index=True)
    return best_first, shared
