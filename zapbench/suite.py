"""A grid of runs as a plan of tasks: pure, and without torch.

A **run** is one pre-trained model, a **trial** one transfer of it, a **task** a run's pre-training or one trial.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import gin

from zapbench import config
from zapbench.config import Binding
from zapbench.leaderboard import contract

Setting = Mapping[str, Any]
Choice = Mapping[tuple[str, str, str], tuple[tuple[Binding, ...], float]]
"""(scenario, strategy, transfer) -> the setting and the rate that selection trials chose."""

RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)


@gin.register
@dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of runs.

    Attributes:
        scenarios: names or paths.
        strategies: names or paths.
        transfers: names or paths.
        seeds: pre-training seeds: how many (`0..seeds-1`), or which.
        trials: reported trials of each run.
        select_trials: selection trials of each run.
        rates: transfer learning rates.
        tune: strategy -> settings to try, each a dictionary of bindings: `{"asb": [{"ASB.inner_lr": 0.03}, ...]}`.
        tried_before: strategy -> pre-training settings that were tried before this suite to fix its own.
        bindings: further bindings, of every run; they make other methods.
        full: whether every setting and rate is also run on the reported trials.
        name: what folders and tables call the one strategy; empty for its own name.
        weights: a file of weights that stands for the pre-training of the one strategy and seed; empty to pre-train.
    """

    scenarios: Sequence[str]
    strategies: Sequence[str]
    transfers: Sequence[str] = ("sequential",)
    seeds: int | Sequence[int] = 5
    trials: int = 10
    select_trials: int = 3
    rates: Sequence[float] = RATES
    tune: Mapping[str, Sequence[Setting]] = field(default_factory=dict)
    tried_before: Mapping[str, int] = field(default_factory=dict)
    bindings: Sequence[str] = ()
    full: bool = False
    name: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Checks the grid's own numbers; names are checked where files are read."""
        for name in ("scenarios", "strategies", "rates"):
            if not getattr(self, name):
                raise ValueError(f"suite: {name} is empty; it must hold at least 1")
        if not self.seed_list:
            raise ValueError(f"suite: seeds must be at least 1, got {self.seeds}")
        for name, least in (("trials", 0), ("select_trials", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"suite: {name} must be at least {least}, got {getattr(self, name)}")
        for rate in self.rates:
            if not 0 < rate < float("inf"):
                raise ValueError(f"suite: a learning rate must be above 0, got {rate}")
        if self.name and len(self.strategies) != 1:
            raise ValueError(f"suite: one name, {self.name!r}, and {len(self.strategies)} strategies")
        if self.weights and (len(self.strategies), len(self.seed_list)) != (1, 1):
            raise ValueError(f"suite: one file of weights, {self.weights!r}, is one strategy's under one seed")
        for name in (*self.tune, *self.tried_before):
            if name not in self.strategies:
                raise ValueError(f"suite: {name!r} is tuned, and its strategies are {', '.join(self.strategies)}")

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The pre-training seeds."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)


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
        variant = contract.folder_text(tuple(str(b) for b in self.changed))
        strategy = contract.folder_text((self.name,)) if self.name else config.name_of(self.strategy)
        names = (config.name_of(self.scenario), strategy)
        return Path(*names) / variant / f"seed={self.seed}"

    @property
    def config_hash(self) -> str:
        """Hash of the configuration that reaches pre-training."""
        return config.hash_of(self.scenario, self.strategy, (*self.bindings, *self.setting))

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
    """One transfer to be: transfer (name or path), rate, role and transfer seed."""

    transfer: str
    rate: float
    role: Literal["report", "select"]
    seed: int
    bindings: tuple[Binding, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the trial lives below its run: TRANSFER/lr=R/ROLE=T."""
        name = config.name_of(self.transfer)
        if self.bindings:
            name = f"{name}[{contract.folder_text(tuple(str(b) for b in self.bindings))}]"
        return Path(name) / f"lr={contract.rate_text(self.rate)}" / f"{self.role}={self.seed}"


@dataclass(frozen=True)
class Task:
    """A run's pre-training (`trial` is None) or one trial: the unit of scheduling, resuming and counting."""

    run: RunSpec
    trial: TrialSpec | None = None

    @property
    def folder(self) -> Path:
        """The folder of the task's event file, below the output folder."""
        return self.run.folder if self.trial is None else self.run.folder / self.trial.folder


@dataclass
class Outcome:
    """How some tasks ended.

    Attributes:
        failed: folder -> reason.
        diverged: folder -> reason.
        stopped: whether somebody asked for an end before the end.
        fatal: why nothing more can be done at all (a full disk, no permission); empty if it can.
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


def load_suite(name: str, bindings: Sequence[str] = ()) -> Suite:
    """Reads a suite by name or path; bindings such as `Suite.seeds = 2` change the suite itself, others its runs.

    Raises:
        ValueError: an unknown suite, or a binding that cannot be read.
    """
    path = config.find("suites", name)
    parsed = config.parse_bindings(bindings)
    own = [str(b) for b in parsed if b.key.startswith("Suite.")]
    others = [str(b) for b in parsed if not b.key.startswith("Suite.")]
    gin.clear_config()
    try:
        with gin.unlock_config():
            gin.parse_config([path.read_text(encoding="utf-8"), *own])
        suite: Suite = gin.get_configurable("Suite")()
    except (ValueError, TypeError, SyntaxError, ImportError) as error:
        raise ValueError(f"suite {name}: {config.explain(error)}") from None
    finally:
        gin.clear_config()
    return replace(suite, bindings=(*suite.bindings, *others))


def runs(suite: Suite) -> list[RunSpec]:
    """Returns the runs of a suite: one a scenario, strategy, setting and seed."""
    bindings = config.parse_bindings(suite.bindings)
    found: list[RunSpec] = []
    for scenario, strategy in itertools.product(suite.scenarios, suite.strategies):
        config.find("scenarios", scenario)
        config.find("strategies", strategy)
        settings = [_setting(s) for s in suite.tune.get(strategy, [{}])]
        tried = len(settings) * suite.tried_before.get(strategy, 1)
        own = config.concerning(scenario, strategy, suite.transfers, bindings)
        for setting, seed in itertools.product(settings, suite.seed_list):
            found.append(RunSpec(scenario, strategy, seed, setting, own, tried, suite.name, suite.weights))
    reached = {binding for run in found for binding in run.bindings}
    for binding in bindings:
        if binding not in reached:
            names = {n for run in found for n in config.names_in_reach(run.scenario, run.strategy, suite.transfers)}
            raise ValueError(f"{binding} reaches nothing in these runs{contract.nearest(binding.selector, names)}")
    return found


def plan(suite: Suite, choice: Choice | None = None) -> list[Task]:
    """Returns every task of a suite, pre-training before its trials.

    Args:
        suite: the grid.
        choice: what selection trials chose; None leaves the reported trials out (they are not known yet), unless the
            suite is `full`.

    Raises:
        ValueError: an unknown name.
    """
    for transfer in suite.transfers:
        config.find("transfers", transfer)
    tasks = []
    for run in runs(suite):
        tasks.append(Task(run))
        for transfer, rate in itertools.product(suite.transfers, suite.rates):
            own = _reaching(run, transfer)
            tasks += [Task(run, TrialSpec(transfer, rate, "select", t, own)) for t in range(suite.select_trials)]
            key = (run.scenario, run.strategy, transfer)
            chosen = choice is not None and choice.get(key) == (run.setting, rate)
            if suite.full or chosen:
                tasks += [Task(run, TrialSpec(transfer, rate, "report", t, own)) for t in range(suite.trials)]
    return tasks


def group(tasks: Iterable[Task]) -> dict[RunSpec, list[Task]]:
    """Returns tasks by run, in order: a run's tasks share its checkpoint."""
    grouped: dict[RunSpec, list[Task]] = {}
    for task in tasks:
        grouped.setdefault(task.run, []).append(task)
    return grouped


def _reaching(run: RunSpec, transfer: str) -> tuple[Binding, ...]:
    """Returns the bindings that reach a run's trials of one transfer, and not its pre-training."""
    concerning = config.concerning(run.scenario, run.strategy, [transfer], run.bindings)
    return tuple(b for b in concerning if not config.reaches_pretraining(b))


def _setting(setting: Setting) -> tuple[Binding, ...]:
    return config.parse_bindings([f"{key} = {value!r}" for key, value in setting.items()])
