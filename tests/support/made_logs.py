"""Logs made up for tests: descriptions, trials and a table of three methods."""

import dataclasses
from pathlib import Path

from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.transfer.reference import Trajectory

FACTS = {name: 1 for name in contract.FINGERPRINT_FIELDS}


def describe(
    method="m",
    *,
    scenario="s",
    seed=0,
    trial=0,
    role="report",
    rate=0.01,
    setting=None,
    facts=FACTS,
    outputs=10,
    config_hash=None,
    transfer="sequential",
    strategy=None,
    **more,
):
    return Description(
        scenario=scenario,
        strategy=strategy or method,
        method=method,
        pretrain_seed=seed,
        setting=setting or {},
        transfer=transfer,
        protocol="sequential, frozen",
        rate=rate,
        role=role,
        transfer_seed=trial,
        outputs=outputs,
        config_hash=config_hash or f"{method}{setting}",
        fingerprint=contract.fingerprint(facts),
        fingerprint_fields=facts,
        **more,
    )


def write(folder: Path, accuracies, *, status=contract.FINISHED, reason="", steps=None, correct=(), **about):
    description = describe(**about)
    trajectory = Trajectory(
        steps=steps or list(range(1, len(accuracies) + 1)),
        held_out=list(accuracies),
        trained_on=[min(1.0, a + 0.1) for a in accuracies],
        forgetting=[0.0 for _ in accuracies],
        class_accuracy=[accuracies[-1]] * 2 if accuracies else [],
        correct=[list(row) for row in correct],
    )
    setting = "".join(f"{key}={value}," for key, value in description.setting.items()) or "default"
    method = f"{abs(hash(description.method))}{description.learner}"
    run = f"{method}/{setting}/seed={description.pretrain_seed}"
    place = f"{run}/lr={description.rate}/{description.role}={description.transfer_seed}"
    write_trial(folder / place, description, "gin", trajectory, {contract.SECONDS: 1.0}, Closing(status, reason))


SCORES = {  # method -> per seed, per trial
    "best": [[0.60, 0.62], [0.61, 0.63], [0.60, 0.64]],
    "good": [[0.59, 0.60], [0.62, 0.60], [0.58, 0.61]],
    "bad": [[0.20, 0.22], [0.19, 0.21], [0.22, 0.20]],
}


def write_run(folder: Path, *, costs=None, status=contract.FINISHED, **about):
    """Writes the record of a pre-training, in a folder of its own."""
    description = dataclasses.replace(
        describe(**about), transfer=None, rate=None, role=None, transfer_seed=None, protocol=None, fingerprint=""
    )
    place = f"{abs(hash(description.method))}/run/seed={description.pretrain_seed}"
    write_trial(folder / place, description, "", Trajectory(), costs or {}, Closing(status))


def write_table(folder):
    """Three methods, three seeds, two trials each, with a rate that looks better on the reported trials."""
    for method, seeds in SCORES.items():
        for seed, trials in enumerate(seeds):
            for trial, score in enumerate(trials):
                write(folder, [0.9, score], method=method, seed=seed, trial=trial, rate=0.01)
                write(folder, [0.9, 0.99], method=method, seed=seed, trial=trial, rate=0.1)
            write(folder, [0.5], method=method, seed=seed, role="select", rate=0.01)
            write(folder, [0.4], method=method, seed=seed, role="select", rate=0.1)


SIX = FACTS | {"classes_per_trial": 6, "protocol": "sequential", "images_held_out": 10_000}
"""Facts of a submission: accuracies are shares of so many images that any with four digits is one."""


def write_submission(folder, methods=("x", "y"), *, seeds=3, trials=2, steps=6, facts=None, **more):
    """Whole trials of a protocol of six classes; every curve is another one."""
    facts = facts or SIX
    for number, method in enumerate(methods):
        for seed in range(seeds):
            write_run(folder, method=method, seed=seed, facts=facts, **more)
            for trial in range(trials):
                own = 0.001 * seed + 0.0001 * trial
                write(
                    folder,
                    [0.9 - 0.1 * step - 0.01 * number - own for step in range(steps)],
                    method=method,
                    seed=seed,
                    trial=trial,
                    facts=facts,
                    **more,
                )
