"""What is scheduled, resumed and counted: runs, trials, tasks and jobs; and how they ended. Pure, and without torch.

A **run** is one pre-trained model, a **trial** one transfer of it, a **task** a run's pre-training or one trial, a
**job** a run with trials that share its model.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from zapbench import config
from zapbench.config import Binding
from zapbench.text import folder_text, rate_text

CHECKPOINT = "checkpoint.pt"
"""The file of a pre-trained model, beside the record of its run."""

Role = Literal["report", "select"]

Progress = Callable[[str, int, int], None]
"""Called with a phase's name, what is done and what there is to do; raises `Stopped` to stop the work."""


def silent(phase: str, done: int, total: int) -> None:
    """Shows no progress."""


class Stopped(BaseException):
    """A person asked to stop: not an error, so `except Exception` lets it pass."""


@dataclass(frozen=True)
class RunSpec:
    """One pre-trained model to be.

    Attributes:
        scenario: name or path.
        strategy: name or path.
        seed: pre-training seed.
        setting: declared as tuned; runs that differ here alone are one method.
        bindings: undeclared; they make another method (those in the scope `transfer/` reach transfer alone).
        settings_tried: pre-training settings tried for this method.
        name: what folders and tables call it; empty for the strategy's name and its bindings.
        weights: a file of weights that stands for pre-training; empty to pre-train.
    """

    scenario: str
    strategy: str
    seed: int
    setting: tuple[Binding, ...] = ()
    bindings: tuple[Binding, ...] = ()
    settings_tried: int = 1
    name: str = ""
    weights: str = ""

    @cached_property
    def changed(self) -> tuple[Binding, ...]:
        """The bindings of pre-training that differ from the shipped files."""
        reaching = [b for b in (*self.bindings, *self.setting) if config.reaches_pretraining(b)]
        return config.changed(self.scenario, self.strategy, reaching)

    @cached_property
    def folder(self) -> Path:
        """Where the run lives below the output folder: SCENARIO/STRATEGY/VARIANT/seed=P."""
        variant = folder_text(tuple(str(b) for b in self.changed))
        strategy = folder_text((self.name,)) if self.name else config.name_of(self.strategy)
        names = (config.name_of(self.scenario), strategy)
        return Path(*names) / variant / f"seed={self.seed}"

    @cached_property
    def configuration(self) -> dict[str, str]:
        """The bindings that reach pre-training, those of the files included."""
        return config.reachable(self.scenario, self.strategy, (*self.bindings, *self.setting))

    @cached_property
    def config_hash(self) -> str:
        """Hash of the configuration that reaches pre-training."""
        return config.hash_of_configuration(self.configuration)

    @cached_property
    def code(self) -> dict[str, str]:
        """Digests of the code from outside the package that pre-training uses."""
        return config.outside_code([config.find("scenarios", self.scenario), config.find("strategies", self.strategy)])

    def without_setting(self) -> "RunSpec":
        """Returns the run with its tuned bindings blank: the same for all settings of a method."""
        return replace(self, seed=0, setting=tuple(config.Binding(b.key, "tuned") for b in self.setting))

    @property
    def method(self) -> str:
        """The row's name: as given, else the strategy with undeclared bindings in brackets."""
        if self.name:
            return self.name
        undeclared = [b for b in self.bindings if config.reaches_pretraining(b)]
        differing = config.changed(self.scenario, self.strategy, undeclared)
        name = config.name_of(self.strategy)
        return f"{name}[{', '.join(str(b).replace(' = ', '=') for b in differing)}]" if differing else name


@dataclass(frozen=True)
class TrialSpec:
    """One transfer to be.

    Attributes:
        transfer: name or path.
        rate: learning rate.
        role: whether it is reported, or a rate and settings are selected on it.
        seed: transfer seed.
        bindings: undeclared bindings that reach this transfer and not pre-training; they make another method.
        setting: declared as tuned; trials that differ here alone are of one method.
        settings_tried: settings of pre-training and transfer together that were tried for this method.
    """

    transfer: str
    rate: float
    role: Role
    seed: int
    bindings: tuple[Binding, ...] = ()
    setting: tuple[Binding, ...] = ()
    settings_tried: int = 1

    @cached_property
    def folder(self) -> Path:
        """Where the trial lives below its run: TRANSFER/lr=R/ROLE=T."""
        name = config.name_of(self.transfer)
        if own := tuple(str(b) for b in (*self.bindings, *self.setting)):
            name = f"{name}[{folder_text(own)}]"
        return Path(name) / f"lr={rate_text(self.rate)}" / f"{self.role}={self.seed}"

    def configuration(self, run: RunSpec) -> dict[str, str]:
        """Returns the bindings that reach the trial and not pre-training, those of the files included."""
        bindings = (*run.bindings, *run.setting, *self.setting)
        return dict(_transfer_configuration(run.scenario, run.strategy, self.transfer, bindings))

    @property
    def code(self) -> dict[str, str]:
        """Digests of the code from outside the package that the transfer uses."""
        return config.outside_code([config.find("transfers", self.transfer)])

    @property
    def undeclared(self) -> tuple[str, ...]:
        """The undeclared bindings that differ from the transfer's file."""
        bound = config.bindings_of("transfers", self.transfer)
        return tuple(str(b) for b in self.bindings if bound.get(b.key) != b.value)

    def without_setting(self) -> "TrialSpec":
        """Returns the trial with its tuned bindings blank: the same for all settings of a method."""
        blank = tuple(config.Binding(b.key, "tuned") for b in self.setting)
        return replace(self, setting=blank, rate=0.0, role="report", seed=0)


_transfer_configuration = functools.lru_cache(maxsize=1024)(config.transfer_configuration)


@dataclass(frozen=True)
class Task:
    """A run's pre-training (`trial` is None) or one trial: the unit of scheduling, resuming and counting."""

    run: RunSpec
    trial: TrialSpec | None = None

    @property
    def folder(self) -> Path:
        """The folder of the task's event file, below the output folder."""
        return self.run.folder if self.trial is None else self.run.folder / self.trial.folder


@dataclass(frozen=True)
class Job:
    """A run with the trials that share its model: what a launcher hands out. Without trials, its pre-training alone."""

    run: RunSpec
    trials: tuple[TrialSpec, ...] = ()

    @property
    def name(self) -> str:
        """What progress and logs call the job: the run's folder."""
        return self.run.folder.as_posix()

    @property
    def transfer(self) -> str | None:
        """The transfer of the first trial; None without trials."""
        return self.trials[0].transfer if self.trials else None

    @property
    def setting(self) -> tuple[Binding, ...]:
        """The tuned bindings of the transfer of the first trial."""
        return self.trials[0].setting if self.trials else ()

    def by_transfer(self) -> "list[Job]":
        """Returns the job as jobs of one transfer and setting each, as a configuration is composed for one."""
        groups: dict[object, list[TrialSpec]] = {}
        for trial in self.trials:
            groups.setdefault((trial.transfer, trial.bindings, trial.setting), []).append(trial)
        return [Job(self.run, tuple(trials)) for trials in groups.values()] or [self]


@dataclass
class Outcome:
    """How some tasks ended.

    Attributes:
        failed: folder -> reason.
        diverged: folder -> reason.
        stopped: whether a person stopped them before the end.
        fatal: why no other task can run either (a full disk, no permission); empty if others can.
    """

    failed: dict[str, str] = field(default_factory=dict)
    diverged: dict[str, str] = field(default_factory=dict)
    stopped: bool = False
    fatal: str = ""

    def add(self, other: "Outcome") -> None:
        """Takes in how other tasks ended."""
        self.failed |= other.failed
        self.diverged |= other.diverged
        self.stopped |= other.stopped
        self.fatal = self.fatal or other.fatal

    def __str__(self) -> str:
        """Says how the tasks ended."""
        if self.stopped:
            return "stopped"
        if self.fatal:
            return f"stopped ({self.fatal})"
        if self.failed:
            return f"failed ({next(iter(self.failed.values()))})"
        return f"done, {len(self.diverged)} task(s) diverged" if self.diverged else "done"
