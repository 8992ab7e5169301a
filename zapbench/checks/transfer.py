"""Checks the contract of a transfer on a shrunken `glyphs`, in under a minute.

The clauses: the configuration binds, the hooks of its plug-ins are called, the head and an unfrozen encoder learn,
frozen parts stay unchanged, the head keeps its shape, each plug-in changes what is learned, the strategy differs from
plain fine-tuning, the same seed gives the same bits (of the learner: curves of so few images hide
differences), stopped trials resume to the same curves, and their records are complete.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from avalanche.training.supervised import Naive
from torch import Tensor, nn

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
from zapbench.experiment.context import Options
from zapbench.experiment.root import configured
from zapbench.experiment.trials import Trials
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import EventFile
from zapbench.plugins import own_plugins
from zapbench.tasks import Job, RunSpec, TrialSpec
from zapbench.transfer.avalanche import StrategyFactory
from zapbench.transfer.features import Features, Inputs

STRATEGY = "iid"
RATE = 0.001
SHRUNK_TRIALS = (
    *SHRUNK,
    "glyphs.pretrain_images = 1",
    "glyphs.validation_images = 0",
    "glyphs.classes_per_trial = 4",
    "glyphs.images_trained_on = 6",
    "glyphs.images_held_out = 2",
    "IID_EPOCHS = 1",
    "IID_TRANSFER_BATCH = 8",
    "transfer/ER_ACE.batch_size_mem = 5",
)
"""Four classes: distillation needs two old classes to have an effect; with three, only the last experience has them.
ER-ACE has no effect before its memory holds a batch."""


@dataclass(frozen=True)
class Learned:
    """A learner before and after its trial.

    Attributes:
        before: its weights at the start.
        model: the model that learned.
        after: its weights at the end.
        strategy: the Avalanche strategy that trained it; None for the plain loop.
        plugins: the strategy's plug-ins, without those of Avalanche itself.
    """

    before: State
    model: nn.Module
    after: State
    strategy: Any
    plugins: list[Any]


def check_transfer(name: str) -> Iterator[Finding]:
    """Yields one finding per clause of a transfer's contract; ends early if the next clauses cannot be checked.

    Args:
        name: a shipped transfer, or the path of a .gin file.
    """
    bindings = config.concerning(SCENARIO, STRATEGY, [name], config.parse_bindings(SHRUNK_TRIALS))
    run = RunSpec(SCENARIO, STRATEGY, 0, bindings=bindings)
    specs = tuple(TrialSpec(name, RATE, "report", seed) for seed in range(2))
    with tempfile.TemporaryDirectory(prefix="zapbench-check-") as folder:
        out = Path(folder)
        clause = "the configuration binds, and every hook that a plug-in overrides is called"
        try:
            experiment = configured(Job(run, specs), Options(out))
            experiment.rehearse()
            yield Finding(clause, True)
        except (ValueError, TypeError) as error:
            yield Finding(clause, False, config.explain(error))
            return
        clause = "learns a trial"
        try:
            trials = experiment.trials(None)
            assert trials is not None
            yield from _check_learning(trials)
        except Exception as error:
            yield Finding(clause, False, f"{type(error).__name__}: {config.explain(error)}")
            return
        yield from _check_records(run, specs, out)


def _check_learning(trials: Trials) -> Iterator[Finding]:
    """Checks what a trial does to its learner."""
    inputs = _inputs(trials)
    given = copy_of(trials.shown)
    table = inputs.table.clone() if isinstance(inputs, Features) else torch.empty(0)
    learned = _learn(trials, inputs, trials.transfer.strategy)
    yield _check_head(learned)
    untouched = not isinstance(inputs, Features) or torch.equal(table, inputs.table)
    yield _check_frozen(trials, learned, untouched and same_state(given, copy_of(trials.shown)))
    if trials.protocol.protocol != "at_once":  # least squares: the head is computed before the first step
        yield from _check_learners(trials, learned)
    again = same_state(_learn(trials, _inputs(trials), trials.transfer.strategy).after, learned.after)
    yield finding("the same seed gives the same bits", again, "two repetitions of one trial give different learners")
    if trials.transfer.strategy is None:
        return
    for position, plugin in enumerate(learned.plugins):
        without = _learn(trials, _inputs(trials), _without(trials.transfer.strategy, position))
        changes = not same_state(without.after, learned.after)
        clause = f"{type(plugin).__name__} changes what is learned"
        yield finding(clause, changes, "without it the trial gives the same bits")
    differs = not same_state(_learn(trials, _inputs(trials), Naive).after, learned.after)
    clause = f"{type(learned.strategy).__name__} differs from plain fine-tuning"
    yield finding(clause, differs, "plain fine-tuning gives the same bits")


def _inputs(trials: Trials) -> Inputs:
    """Returns new features or images, so that no trial sees what another changed in them."""
    if trials.protocol.frozen:
        return trials.features(trials.shown, [trials.context.job.trials[0]])
    images: Inputs = trials.context.scenario.tensor(device=trials.context.device)
    return images


def _learn(trials: Trials, inputs: Inputs, strategy: StrategyFactory | None) -> Learned:
    """Learns the first trial.

    Raises:
        ValueError: it diverged.
    """
    strategies: list[Any] = []
    plugins: list[Any] = []

    def keep(**kwargs: Any) -> Any:
        assert strategy is not None
        strategies.append(strategy(**kwargs))
        plugins.extend(own_plugins(strategies[0]))
        return strategies[0]

    trials = replace(trials, transfer=replace(trials.transfer, strategy=None if strategy is None else keep))
    spec = trials.context.job.trials[0]
    plan = trials.plan(trials.shown, spec, inputs)
    learner = plan.learner
    before = copy_of(learner)
    trajectory = trials.learn(spec, inputs, plan)
    if trajectory.diverged:
        raise ValueError(f"diverged: {trajectory.diverged}")
    used = strategies[0] if strategies else None
    model = learner if used is None else used.model
    return Learned(before, model, copy_of(model), used, plugins)


def _without(strategy: StrategyFactory, position: int) -> StrategyFactory:
    """Returns a factory of the same strategy without one of its plug-ins."""

    def make(**kwargs: Any) -> Any:
        without = strategy(**kwargs)
        without.plugins.remove(own_plugins(without)[position])
        return without

    return make


def _check_head(learned: Learned) -> Finding:
    head = learned.model if isinstance(learned.model, nn.Linear) else getattr(learned.model, "head", None)
    (key,) = [key for key in learned.before if key in ("weight", "head.weight")]
    shape = tuple(learned.before[key].shape)
    now = tuple(head.weight.shape) if type(head) is nn.Linear else type(head).__name__
    return finding("the head keeps its shape", shape == now, f"{shape} before and {now} after")


def _check_frozen(trials: Trials, learned: Learned, given_unchanged: bool) -> Finding:
    """Checks the pre-trained model and its features, and the learner's buffers and weights without a gradient."""
    learner = trials.plan(trials.shown, trials.context.job.trials[0], _inputs(trials)).learner
    learning = {name for name, weight in learner.named_parameters() if weight.requires_grad}
    fixed = [name for name in learned.before if name not in learning]
    changed = [name for name in fixed if not _equal(learned.before, learned.after, name)]
    reason = f"{changed[0]} is frozen but changed" if changed else ""
    if not given_unchanged:
        reason = "the trial changed the pre-trained model or its features"
    return Finding("frozen parts stay unchanged", not reason, reason)


def _check_learners(trials: Trials, learned: Learned) -> Iterator[Finding]:
    names = [name for name in learned.before if not _equal(learned.before, learned.after, name)]
    head = any(name in ("weight", "head.weight") for name in names)
    yield finding("the head learns", head, "none of its weights changed")
    protocol = trials.protocol
    if not protocol.frozen and (protocol.layers is None or protocol.layers > 1):
        encoder = any(name.startswith("encoder.") for name in names)
        yield finding("the unfrozen encoder learns", encoder, "none of its weights changed")


def _equal(before: State, after: State, name: str) -> bool:
    now: Tensor | None = after.get(name)
    return now is not None and now.shape == before[name].shape and torch.equal(now, before[name])


def _check_records(run: RunSpec, specs: tuple[TrialSpec, ...], out: Path) -> Iterator[Finding]:
    """Checks what trials write; all of them share one pre-training."""
    execute_until(run, (), out / "first")
    for name in ("second", "third"):
        shutil.copytree(out / "first", out / name)
    first, reports = execute_until(run, specs, out / "first", phase="transfer")
    records = _records(run, specs, out / "first")
    tags = [contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING, contract.SECONDS]
    problems = [*first.failed.values(), *(incomplete(record, tags) for record in records)]
    problem = next(filter(None, problems), "")
    yield Finding("its records are complete", not problem, problem)
    if problem:
        return
    expected = [curves(record) for record in records]
    execute_until(run, specs, out / "second")
    same = [curves(record) for record in _records(run, specs, out / "second")] == expected
    yield finding("two runs leave the same curves", same, "two runs of one seed differ")
    stopped, _ = execute_until(run, specs, out / "third", phase="transfer", stop_after=max(1, reports * 3 // 4))
    detail = "" if stopped.stopped else "the trials ended before they could be stopped"
    execute_until(run, specs, out / "third")
    same = [curves(record) for record in _records(run, specs, out / "third")] == expected
    if not same:
        detail = "trials that were stopped and resumed differ from those that were not"
    yield Finding("stopped trials resume to the same curves", same, detail)


def _records(run: RunSpec, specs: tuple[TrialSpec, ...], out: Path) -> list[EventFile]:
    return [record_in(out / run.folder / spec.folder) for spec in specs]
