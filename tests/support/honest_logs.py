"""Logs of methods that learned nothing, but look honest: hard classes are hard for every method of a draw."""

import dataclasses

import numpy as np

from support.made_logs import FACTS, describe
from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.transfer.reference import Trajectory

CLASSES, IMAGES = 60, 10
SETS = FACTS | {"classes_per_trial": CLASSES, "images_held_out": IMAGES, "protocol": "sequential"}


def draw(method, skill, seed, trial, *, role="report", draws=None):
    """Returns the trajectory of one method on one draw; `draws` are the seeds that the draw is made of."""
    hard = np.random.default_rng([*(draws or (seed, trial)), role == "select"]).normal(0, 2, CLASSES)
    own = np.random.default_rng([sum(map(ord, method)), seed, trial, role == "select"])
    recent = np.linspace(-2, 2, CLASSES)  # what was learned last is known best, in every draw and by every method
    chances = 1 / (1 + np.exp(-(skill - hard + recent + own.normal(0, 0.5, CLASSES))))
    last = own.binomial(IMAGES, chances)
    rows = [np.clip(last[:seen] + own.binomial(2, 0.5, seen), 0, IMAGES) for seen in range(1, CLASSES)] + [last]
    held_out = [float(row.sum() / (len(row) * IMAGES)) for row in rows]
    return Trajectory(
        steps=list(range(1, CLASSES + 1)),
        held_out=held_out,
        trained_on=[min(1.0, value + 0.1) for value in held_out],
        forgetting=[0.0] * CLASSES,
        class_accuracy=[float(value) for value in last / IMAGES],
        correct=[row.tolist() for row in rows],
    )


def write_honest(folder, method, skill=0.0, *, seeds=range(3), trials=range(4), runs=None, name=None, **about):
    """Writes whole logs of a method.

    Args:
        folder: for its logs.
        method: of which everything is computed.
        skill: the higher, the better.
        seeds: pre-training seeds.
        trials: transfer seeds.
        runs: seeds and trials as they are written -> as they were run; None where they are the same.
        name: the method that the logs say; None for `method`.
        about: more of the descriptions.
    """
    said = name or method
    for seed in seeds:
        record(folder / said / f"{seed}", Trajectory(), said, seed=seed, run=True, **about)
        for rate, better in ((0.01, 0.0), (0.1, -0.5)):
            for trial in range(2):
                made = draw(method, skill + better, seed, trial, role="select")
                record(folder / said / f"{seed}/{rate}/s{trial}", made, said, seed, trial, "select", rate, **about)
        for trial in trials:
            ran = (runs or {}).get((seed, trial), (seed, trial))
            made = draw(method, skill, *ran, draws=ran)
            record(folder / said / f"{seed}/r{trial}", made, said, seed, trial, "report", 0.01, **about)


def record(folder, trajectory, method, seed, trial=0, role="report", rate=0.01, *, run=False, **about):
    """Writes one record."""
    status = about.pop("status", contract.FINISHED)
    made = {"facts": SETS, "outputs": CLASSES} | about
    description = describe(method, seed=seed, trial=trial, role=role, rate=rate, **made)
    if run:
        nothing = dict.fromkeys(("transfer", "rate", "role", "transfer_seed", "protocol"))
        description = dataclasses.replace(description, fingerprint="", **nothing)
    write_trial(folder, description, "", trajectory, {}, Closing(status))
