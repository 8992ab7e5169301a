"""Checks the contract of a pre-training strategy on a shrunken `glyphs`, in under a minute.

The clauses: the configuration binds, the hooks of its plug-ins are called, each plug-in changes what is learned,
gradients reach the encoder, the head keeps its shape, the same seed gives the same bits, a stopped run resumes to the
same bits, and its records are complete.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from zapbench import config
from zapbench.checks.shrunk import (
    SCENARIO,
    SHRUNK,
    Finding,
    State,
    copy_of,
    curves,
    execute_until,
    finding,
    incomplete,
    record_in,
    same_state,
)
from zapbench.experiment import checkpoints
from zapbench.experiment.context import Options
from zapbench.experiment.pretraining import Pretraining
from zapbench.experiment.root import configured
from zapbench.leaderboard import contract
from zapbench.plugins import own_plugins
from zapbench.scenarios.streams import pretraining_experience
from zapbench.strategies.base import updates_of
from zapbench.tasks import Job, RunSpec, TrialSpec

TRIAL = TrialSpec("sequential", 0.001, "report", 0)


def check_strategy(name: str) -> Iterator[Finding]:
    """Yields one finding per clause of a strategy's contract; ends early if the next clauses cannot be checked.

    Args:
        name: a shipped strategy, or the path of a .gin file.
    """
    bindings = config.concerning(SCENARIO, name, ["sequential"], config.parse_bindings(SHRUNK))
    run = RunSpec(SCENARIO, name, 0, bindings=bindings)
    with tempfile.TemporaryDirectory(prefix="zapbench-check-") as folder:
        out = Path(folder)
        clause = "the configuration binds, and every hook that a plug-in overrides is called"
        try:
            experiment = configured(Job(run), Options(out))
            experiment.rehearse()
            yield Finding(clause, True)
        except (ValueError, TypeError) as error:
            yield Finding(clause, False, config.explain(error))
            return
        assert isinstance(experiment.pretraining, Pretraining)
        yield from _check_training(experiment.pretraining)
        yield from _check_records(run, out)


def _check_training(pretraining: Pretraining) -> Iterator[Finding]:
    """Checks what training does to the model."""
    strategy = pretraining.new_strategy()
    shape = tuple(strategy.model.head.weight.shape)
    before = copy_of(strategy.model)
    after = _trained(pretraining, strategy)
    changed = [name for name, value in after.items() if not torch.equal(value, before[name])]
    if is_floor(strategy):
        yield finding("a strategy without updates leaves the model unchanged", not changed, ", ".join(changed[:1]))
        return
    reached = any(name.startswith("encoder.") for name in changed)
    yield finding("gradients reach the encoder", reached, "none of its weights changed")
    now = tuple(strategy.model.head.weight.shape)
    kept = now == shape and type(strategy.model.head) is torch.nn.Linear
    yield finding("the head keeps its shape", kept, f"{shape} before and {now} after")
    for position, plugin in enumerate(own_plugins(strategy)):
        without = pretraining.new_strategy()
        without.plugins.remove(own_plugins(without)[position])
        changes = not same_state(_trained(pretraining, without), after)
        clause = f"{type(plugin).__name__} changes what is learned"
        yield finding(clause, changes, "without it training gives the same bits")


def _check_records(run: RunSpec, out: Path) -> Iterator[Finding]:
    """Checks what a run writes."""
    first, _ = execute_until(run, (TRIAL,), out / "first")
    record = record_in(out / "first" / run.folder)
    trial = record_in(out / "first" / run.folder / TRIAL.folder)
    floor = contract.LOSS not in record.curves and record.curves.get(contract.GRADIENT_STEPS) == ([0], [0.0])
    problem = (
        incomplete(record, [contract.SECONDS, *(() if floor else (contract.LOSS, contract.TRAIN_ACCURACY))])
        or incomplete(trial, [contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING])
        or next(iter(first.failed.values()), "")
    )
    yield Finding("its records are complete", not problem, problem)
    if problem:
        return
    execute_until(run, (TRIAL,), out / "second")
    same = _same_run(run, out / "first", out / "second")
    yield finding("the same seed gives the same bits", same, "two runs of one seed differ")
    if floor:
        return  # there is nothing to stop
    execute_until(run, (TRIAL,), out / "third", stop_after=len(record.curves[contract.LOSS][0]) // 2)
    too_short = record_in(out / "third" / run.folder).closing.status == contract.FINISHED
    execute_until(run, (TRIAL,), out / "third")
    same = _same_run(run, out / "first", out / "third")
    detail = "the run ended before it could be stopped" if too_short else ""
    if not same:
        detail = "a run that was stopped and resumed differs from one that was not"
    yield Finding("a stopped run resumes to the same bits", same, detail)


def is_floor(strategy: Any) -> bool:
    """Returns whether a strategy makes no update, however many images there are."""
    return updates_of(strategy, 1_000_000) == 0


def _trained(pretraining: Pretraining, strategy: Any) -> State:
    """Trains a strategy on the shrunken scenario and returns its model's weights."""
    context = pretraining.context
    split = context.scenario.pretraining(context.job.run.seed)
    experience = pretraining_experience(context.scenario.tensor(device=context.device), split.train)
    strategy.train(experience, eval_streams=[])
    return copy_of(strategy.model)


def _same_run(run: RunSpec, one: Path, other: Path) -> bool:
    """Returns whether two runs left the same model, and the same curves of pre-training and of the trial."""
    models = [checkpoints.load(out / run.folder / checkpoints.FILE).model for out in (one, other)]
    folders = (run.folder, run.folder / TRIAL.folder)
    return same_state(*models) and all(curves(record_in(one / f)) == curves(record_in(other / f)) for f in folders)
