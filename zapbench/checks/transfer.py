"""The contract of a transfer, tried on a shrunken `glyphs` in under a minute.

A transfer binds, its hooks fire, what is to learn moves and what is frozen stays, the head keeps its shape, each
plug-in changes what is learned, a strategy is more than plain fine-tuning, the same seed gives the same bits (of the
learner: curves of so few images hide much), trials that were stopped go on to the same curves, and their records are
complete. What does not hold is said in words.
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
from zapbench.checks.strategy import SCENARIO, SHRUNK, Finding, State, attempt, copy_of, curves, incomplete, same_state
from zapbench.experiment.context import Options
from zapbench.experiment.root import configured
from zapbench.experiment.trials import Trials
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import EventFile, read_file
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
)
"""Four classes: with three, what is distilled has two outputs to choose from for the first time."""


@dataclass(frozen=True)
class Learned:
    """A trial's learner, before and after.

    Attributes:
        before: its weights at the start.
        model: what learned.
        after: its weights at the end.
        strategy: what taught it; None for the plain loop.
        plugins: the strategy's own.
    """

    before: State
    model: nn.Module
    after: State
    strategy: Any
    plugins: list[Any]


def check_transfer(name: str) -> Iterator[Finding]:
    """Yields the clauses of a transfer's contract as they are tried; ends at the first that others build on.

    Args:
        name: a shipped transfer, or the path of a .gin file.
    """
    bindings = config.concerning(SCENARIO, STRATEGY, [name], config.parse_bindings(SHRUNK_TRIALS))
    run = RunSpec(SCENARIO, STRATEGY, 0, bindings=bindings)
    specs = tuple(TrialSpec(name, RATE, "report", seed) for seed in range(2))
    with tempfile.TemporaryDirectory(prefix="zapbench-check-") as elsewhere:
        out = Path(elsewhere)
        clause = "binds, and every hook that a plug-in overrides is fired"
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
            yield from _in_memory(trials)
        except Exception as error:
            yield Finding(clause, False, f"{type(error).__name__}: {config.explain(error)}")
            return
        yield from _on_disk(run, specs, out)


def _in_memory(trials: Trials) -> Iterator[Finding]:
    """Clauses about what a trial does to its learner."""
    inputs = _inputs(trials)
    given = copy_of(trials.shown)
    table = inputs.table.clone() if isinstance(inputs, Features) else torch.empty(0)
    learned = _learn(trials, inputs, trials.transfer.strategy)
    yield from _head(learned)
    untouched = not isinstance(inputs, Features) or torch.equal(table, inputs.table)
    yield _frozen(trials, learned, untouched and same_state(given, copy_of(trials.shown)))
    if trials.protocol.protocol != "at_once":  # least squares: the head is found before the first step
        yield from _moved(trials, learned)
    again = same_state(_learn(trials, _inputs(trials), trials.transfer.strategy).after, learned.after)
    words = "" if again else "learned twice, one trial gives two learners"
    yield Finding("the same seed gives the same bits", again, words)
    if trials.transfer.strategy is None:
        return
    for place, plugin in enumerate(learned.plugins):
        without = _learn(trials, _inputs(trials), _without(trials.transfer.strategy, place))
        changes = not same_state(without.after, learned.after)
        words = "" if changes else "without it the trial gives the same bits"
        yield Finding(f"{type(plugin).__name__} changes what is learned", changes, words)
    more = not same_state(_learn(trials, _inputs(trials), Naive).after, learned.after)
    words = "" if more else "plain fine-tuning gives the same bits"
    yield Finding(f"{type(learned.strategy).__name__} is more than plain fine-tuning", more, words)


def _inputs(trials: Trials) -> Inputs:
    """Returns features or images, made anew, so that no trial sees what another did to them."""
    if trials.protocol.frozen:
        return trials.features(trials.shown, [trials.context.job.trials[0]])
    images: Inputs = trials.context.scenario.tensor(device=trials.context.device)
    return images


def _learn(trials: Trials, inputs: Inputs, strategy: StrategyFactory | None) -> Learned:
    """Learns the first trial."""
    made: list[Any] = []
    plugins: list[Any] = []

    def keep(**kwargs: Any) -> Any:
        assert strategy is not None
        made.append(strategy(**kwargs))
        plugins.extend(own_plugins(made[0]))
        return made[0]

    trials = replace(trials, transfer=replace(trials.transfer, strategy=None if strategy is None else keep))
    spec = trials.context.job.trials[0]
    plan = trials.plan(trials.shown, spec, inputs)
    learner = plan.learner
    before = copy_of(learner)
    trajectory = trials.learn(spec, inputs, plan)
    if trajectory.diverged:
        raise ValueError(f"diverged: {trajectory.diverged}")
    model = made[0].model if made else learner
    return Learned(before, model, copy_of(model), made[0] if made else None, plugins)


def _without(strategy: StrategyFactory, place: int) -> StrategyFactory:
    """Returns a factory of the same strategy without one of its own plug-ins."""

    def make(**kwargs: Any) -> Any:
        made = strategy(**kwargs)
        made.plugins.remove(own_plugins(made)[place])
        return made

    return make


def _head(learned: Learned) -> Iterator[Finding]:
    head = learned.model if isinstance(learned.model, nn.Linear) else getattr(learned.model, "head", None)
    (key,) = [key for key in learned.before if key in ("weight", "head.weight")]
    shape = tuple(learned.before[key].shape)
    now = tuple(head.weight.shape) if type(head) is nn.Linear else type(head).__name__
    yield Finding("the head keeps its shape", shape == now, "" if shape == now else f"{shape} before and {now} after")


def _frozen(trials: Trials, learned: Learned, given_stays: bool) -> Finding:
    """What was given stays (model, features); of the learner, what has no gradient, and every buffer."""
    learner = trials.plan(trials.shown, trials.context.job.trials[0], _inputs(trials)).learner
    learning = {name for name, weight in learner.named_parameters() if weight.requires_grad}
    fixed = [name for name in learned.before if name not in learning]
    moved = [name for name in fixed if not _equal(learned.before, learned.after, name)]
    words = "" if given_stays else "the pre-trained model, or its features, are others afterwards"
    words = words or (f"{moved[0]} is frozen and moved" if moved else "")
    return Finding("what is frozen stays as it is", not words, words)


def _moved(trials: Trials, learned: Learned) -> Iterator[Finding]:
    names = [name for name in learned.before if not _equal(learned.before, learned.after, name)]
    head = any(name in ("weight", "head.weight") for name in names)
    yield Finding("the head learns", head, "" if head else "no weight of it moved")
    protocol = trials.protocol
    if not protocol.frozen and (protocol.layers is None or protocol.layers > 1):
        below = any(name.startswith("encoder.") for name in names)
        yield Finding("unfrozen, the encoder learns", below, "" if below else "no weight of it moved")


def _equal(before: State, after: State, name: str) -> bool:
    now: Tensor | None = after.get(name)
    return now is not None and now.shape == before[name].shape and torch.equal(now, before[name])


def _on_disk(run: RunSpec, specs: tuple[TrialSpec, ...], out: Path) -> Iterator[Finding]:
    """Clauses about what trials leave behind; all of them share one pre-training."""
    attempt(run, (), out / "first")
    for name in ("second", "third"):
        shutil.copytree(out / "first", out / name)
    first, told = attempt(run, specs, out / "first", phase="transfer")
    whole = _records(run, specs, out / "first")
    tags = [contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING, contract.SECONDS]
    wrong = next(iter(first.failed.values()), "") or next(filter(None, (incomplete(one, tags) for one in whole)), "")
    yield Finding("its records are complete", not wrong, wrong)
    if wrong:
        return
    expected = [curves(one) for one in whole]
    attempt(run, specs, out / "second")
    same = [curves(one) for one in _records(run, specs, out / "second")] == expected
    yield Finding("two runs leave the same curves", same, "" if same else "two runs of one seed differ")
    stopped, _ = attempt(run, specs, out / "third", phase="transfer", stop_after=max(1, told * 3 // 4))
    anew = not stopped.stopped
    attempt(run, specs, out / "third")
    same = [curves(one) for one in _records(run, specs, out / "third")] == expected
    words = "" if same else "trials that were stopped in the middle and gone on with end otherwise"
    clause = "trials that were stopped go on to the same curves"
    yield Finding(clause, same, words or ("they were too short" if anew else ""))


def _records(run: RunSpec, specs: tuple[TrialSpec, ...], out: Path) -> list[EventFile]:
    paths = [out / run.folder / spec.folder / contract.EVENT_FILE for spec in specs]
    return [read_file(p) if p.is_file() else EventFile(p, problem="a trial left no record") for p in paths]
