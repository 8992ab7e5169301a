"""A scenario so small that a run takes seconds, and the comparison of such runs; both checks use it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zapbench.experiment.context import Options
from zapbench.experiment.root import execute
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import EventFile, read_file
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
    "ReDo.threshold = 0.99",
    "SelfNormalizedResets.threshold = 1",
    "SelfNormalizedResets.firing = 0.5",
)
"""Sizes of the scenario, which strategies use as macros, and of the shipped networks; intervals short enough, and
thresholds so high, that plug-ins act within a few updates. Numbers that a strategy binds itself are not changed."""

State = dict[str, Tensor]


@dataclass(frozen=True)
class Finding:
    """One clause of a contract: its text, whether it holds, and the reason if it does not (or a remark)."""

    clause: str
    holds: bool
    detail: str = ""


def finding(clause: str, holds: bool, reason: str) -> Finding:
    """Returns a finding that states the reason only if the clause does not hold."""
    return Finding(clause, holds, "" if holds else reason)


def copy_of(model: torch.nn.Module) -> State:
    """Returns a copy of a model's weights and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same_state(one: State, other: State) -> bool:
    """Returns whether two models are bit-identical."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def execute_until(
    run: RunSpec, trials: tuple[TrialSpec, ...], out: Path, *, phase: str = "pre-training", stop_after: int = 0
) -> tuple[Outcome, int]:
    """Executes a job; returns its outcome, and how often it reported progress of a phase.

    Args:
        run: the run.
        trials: trials of the run.
        out: output folder.
        phase: the first words of the phase.
        stop_after: the number of reports after which the job is stopped; 0 to let it finish.
    """
    reports = 0

    def progress(now: str, done: int, total: int) -> None:
        nonlocal reports
        reports += now.startswith(phase)
        if stop_after and reports > stop_after:
            raise Stopped

    try:
        return execute(Job(run, trials), Options(out, progress=progress, progress_seconds=0.0)), reports
    except Stopped:
        return Outcome(stopped=True), reports


def record_in(folder: Path) -> EventFile:
    """Returns the record in a folder; one with a problem if there is none."""
    path = folder / contract.EVENT_FILE
    return read_file(path) if path.is_file() else EventFile(path, problem="a task left no record")


def incomplete(record: EventFile, tags: list[str]) -> str:
    """Returns what a record lacks; empty if it is complete."""
    if record.problem:
        return record.problem
    if record.closing.status == contract.DIVERGED:
        return f"diverged: {record.closing.reason}"
    missing = [tag for tag in tags if tag not in record.curves]
    if record.closing.status != contract.FINISHED or missing:
        return f"{record.closing.status}; no {', '.join(missing) or 'curve is missing'}"
    return ""


def curves(record: EventFile) -> dict[str, Any]:
    """Returns the curves of a record without its costs."""
    return {tag: curve for tag, curve in record.curves.items() if not tag.startswith("cost/")}
