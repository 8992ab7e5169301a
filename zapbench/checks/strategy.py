"""The contract of a pre-training strategy, tried on a shrunken `glyphs` in under a minute.

A strategy binds, its hooks fire, each of its plug-ins changes what is learned, gradients reach the encoder, the head
keeps its shape, the same seed gives the same bits, a run that was stopped goes on to the same bits, and its records
are complete. What does not hold is said in words.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zapbench import config
from zapbench.experiment import checkpoints
from zapbench.experiment.context import Options
from zapbench.experiment.pretraining import Pretraining
from zapbench.experiment.root import configured, execute
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import EventFile, read_file
from zapbench.plugins import own_plugins
from zapbench.scenarios.streams import pretraining_experience
from zapbench.tasks import Job, Outcome, RunSpec, Stopped, TrialSpec

SCENARIO = "glyphs"
SHRUNK = (
    "glyphs.pretrain_images = 4",
    "glyphs.validation_images = 1",
    "glyphs.classes_per_trial = 5",
    "glyphs.classes_per_selection_trial = 5",
    "convnet.filters = 4",
    "oml.filters = 4",
    "oml.hidden = 8",
    "anml.gate_filters = 4",
    "K = 3",
    "R = 8",
    "ASB_EPISODES = 12",
    "META_EPISODES = 12",
    "IID_EPOCHS = 3",
    "IID_BATCH = 128",
    "IID_TRANSFER_BATCH = 32",
    "ZAP_EVERY = 2",
    "ZapEvery.every = 2",
    "ContinualBackprop.maturity = 2",
    "ContinualBackprop.replacement_rate = 0.2",
)
"""Sizes of a scenario, which a strategy takes as macros, and of the shipped networks; a cadence of epochs that has time
to come, and units that have time to mature. What else a strategy binds to numbers of its own stays."""

TRIAL = (TrialSpec("sequential", 0.001, "report", 0),)

State = dict[str, Tensor]


@dataclass(frozen=True)
class Finding:
    """One clause of the contract: what it says, whether it holds, and why not (or what else is to be known)."""

    clause: str
    holds: bool
    words: str = ""


def check_strategy(name: str) -> Iterator[Finding]:
    """Yields the clauses of a strategy's contract as they are tried; ends at the first that others build on.

    Args:
        name: a shipped strategy, or the path of a .gin file.
    """
    bindings = config.concerning(SCENARIO, name, ["sequential"], config.parse_bindings(SHRUNK))
    run = RunSpec(SCENARIO, name, 0, bindings=bindings)
    with tempfile.TemporaryDirectory(prefix="zapbench-check-") as elsewhere:
        out = Path(elsewhere)
        clause = "binds, and every hook that a plug-in overrides is fired"
        try:
            experiment = configured(Job(run), Options(out))
            experiment.rehearse()
            yield Finding(clause, True)
        except (ValueError, TypeError) as error:
            yield Finding(clause, False, config.explain(error))
            return
        assert isinstance(experiment.pretraining, Pretraining)
        yield from _in_memory(experiment.pretraining)
        yield from _on_disk(run, out)


def _in_memory(pretraining: Pretraining) -> Iterator[Finding]:
    """Clauses about what training does to the model."""
    strategy = pretraining.new_strategy()
    head = tuple(strategy.model.head.weight.shape)
    before = copy_of(strategy.model)
    after = _trained(pretraining, strategy)
    moved = [name for name, value in after.items() if not torch.equal(value, before[name])]
    if is_floor(strategy):
        yield Finding("a strategy of no updates leaves the model as it is", not moved, ", ".join(moved[:1]))
        return
    reached = any(name.startswith("encoder.") for name in moved)
    yield Finding("gradients reach the encoder", reached, "" if reached else "no weight of it moved")
    now = tuple(strategy.model.head.weight.shape)
    kept = now == head and type(strategy.model.head) is torch.nn.Linear
    yield Finding("the head keeps its shape", kept, "" if kept else f"{head} before and {now} after")
    for place, plugin in enumerate(own_plugins(strategy)):
        without = pretraining.new_strategy()
        without.plugins.remove(own_plugins(without)[place])
        changes = not same_state(_trained(pretraining, without), after)
        words = "" if changes else "without it training gives the same bits"
        yield Finding(f"{type(plugin).__name__} changes what is learned", changes, words)


def _on_disk(run: RunSpec, out: Path) -> Iterator[Finding]:
    """Clauses about what a run leaves behind."""
    first, _ = attempt(run, TRIAL, out / "first")
    whole = _record(run, out / "first")
    floor = contract.LOSS not in whole.curves and whole.curves.get(contract.GRADIENT_STEPS) == ([0], [0.0])
    wrong = incomplete(whole, [contract.SECONDS, *(() if floor else (contract.LOSS, contract.TRAIN_ACCURACY))])
    trial = _trial(run, out / "first")
    wrong = wrong or incomplete(trial, [contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING])
    wrong = wrong or next(iter(first.failed.values()), "")
    yield Finding("its records are complete", not wrong, wrong)
    if wrong:
        return
    attempt(run, TRIAL, out / "second")
    same = _alike(run, out / "first", out / "second")
    yield Finding("the same seed gives the same bits", same, "" if same else "two runs of one seed differ")
    if floor:
        return  # there is nothing to stop
    attempt(run, TRIAL, out / "third", stop_after=len(whole.curves[contract.LOSS][0]) // 2)
    anew = _record(run, out / "third").closing.status == contract.FINISHED
    attempt(run, TRIAL, out / "third")
    same = _alike(run, out / "first", out / "third")
    words = "" if same else "a run that was stopped in the middle and gone on with ends otherwise"
    yield Finding(
        "a run that was stopped goes on to the same bits", same, words or ("it was too short" if anew else "")
    )


def is_floor(strategy: Any) -> bool:
    """Returns whether a strategy makes no update, however many images there are."""
    return hasattr(strategy, "updates") and strategy.updates(1_000_000) == 0


def _trained(pretraining: Pretraining, strategy: Any) -> State:
    """Trains a strategy on the shrunken scenario and returns its model's weights."""
    context = pretraining.context
    split = context.scenario.pretraining(context.job.run.seed)
    experience = pretraining_experience(context.scenario.tensor(device=context.device), split.train)
    strategy.train(experience, eval_streams=[])
    return copy_of(strategy.model)


def copy_of(model: torch.nn.Module) -> State:
    """Returns a copy of a model's weights and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same_state(one: State, other: State) -> bool:
    """Returns whether two models are the same to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def attempt(
    run: RunSpec, trials: tuple[TrialSpec, ...], out: Path, *, phase: str = "pre-training", stop_after: int = 0
) -> tuple[Outcome, int]:
    """Runs a job; returns how it ended, and how often it told of a phase.

    Args:
        run: which.
        trials: of it.
        out: output folder.
        phase: how what it tells of begins.
        stop_after: how often it may tell of it before it is stopped; 0 for ever.
    """
    told = 0

    def progress(now: str, done: int, total: int) -> None:
        nonlocal told
        told += now.startswith(phase)
        if stop_after and told > stop_after:
            raise Stopped

    try:
        return execute(Job(run, trials), Options(out, progress=progress, progress_seconds=0.0)), told
    except Stopped:
        return Outcome(stopped=True), told


def _record(run: RunSpec, out: Path) -> EventFile:
    return read_file(out / run.folder / contract.EVENT_FILE)


def _trial(run: RunSpec, out: Path) -> EventFile:
    found = sorted((out / run.folder).glob(f"*/*/*/{contract.EVENT_FILE}"))
    return read_file(found[0]) if found else EventFile(out, problem="its trial left no record")


def incomplete(found: EventFile, tags: list[str]) -> str:
    """Returns what a record lacks, in words; nothing where it is complete."""
    if found.problem:
        return found.problem
    if found.closing.status == contract.DIVERGED:
        return f"diverged: {found.closing.reason}"
    missing = [tag for tag in tags if tag not in found.curves]
    if found.closing.status != contract.FINISHED or missing:
        return f"{found.closing.status}; no {', '.join(missing) or 'curve is missing'}"
    return ""


def curves(found: EventFile) -> dict[str, Any]:
    """Returns the curves of a record, without what they cost."""
    return {tag: curve for tag, curve in found.curves.items() if not tag.startswith("cost/")}


def _alike(run: RunSpec, one: Path, other: Path) -> bool:
    """Whether two runs left the same curves, the same trial and the same model."""
    models = [checkpoints.load(out / run.folder / checkpoints.FILE).model for out in (one, other)]
    records = [(curves(_record(run, out)), curves(_trial(run, out))) for out in (one, other)]
    return same_state(*models) and records[0] == records[1]
