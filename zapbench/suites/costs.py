"""Costs of tasks in seconds and bytes, measured on finished tasks of the same kind or else read from a shipped table.

Two tasks are of one **kind** if their configurations differ only in seeds and learning rates, which change what is
learned but not what it costs. Where no task of the kind was measured, a pre-training is estimated from one that differs
only in its **length**, to which its time is proportional. Else the estimate is the mean over **similar** tasks: those
of the same scenario and strategy or, for trials, of the same scenario, transfer and role. Similar tasks may differ in
width, too, so a forecast says what it is made from.

The shipped table was measured on other machines. Where tasks of its kinds finished in the output folder, its times are
multiplied by how many times as long those took.
"""

import functools
import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from zapbench import config
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import ending_of
from zapbench.tasks import CHECKPOINT, RunSpec, Task, TrialSpec

SHIPPED = Path(__file__).with_name("costs.json")
RATES = ("lr", "inner_lr")
LENGTHS = ("episodes", "epochs")
"""Parameters of pre-training to which its time is proportional."""

LEAST_SECONDS = 1.0
"""The tasks by which this machine is compared with another one took at least so long together on that one."""

OTHER_LENGTH, SIMILAR = "tasks of another length", "similar tasks"
MOST_MEASURED = 20
"""How many finished tasks of a kind are measured at most."""


@dataclass(frozen=True)
class Cost:
    """The cost of one task, or of one episode or epoch of pre-training.

    Attributes:
        seconds: wall-clock time.
        bytes: disk space of the task, whatever its length.
        source: which tasks were measured.
        machine: where, for the shipped table.
    """

    seconds: float
    bytes: float
    source: str
    machine: str = ""


@dataclass(frozen=True)
class Estimate:
    """One way to estimate a task's cost: from the mean cost that is known under a name, times a number.

    Attributes:
        name: a digest, or `what_of` the task.
        times: number of units of that cost: 1 task, or so many episodes or epochs.
        tasks: which tasks have this name, in words.
    """

    name: str
    times: float
    tasks: str


@dataclass
class Costs:
    """Costs of tasks: those measured in an output folder, else those of the shipped table.

    Attributes:
        folder: name of the output folder.
        shipped: the shipped table, by the names of estimates.
    """

    folder: str
    shipped: Mapping[str, Cost] = field(default_factory=dict)
    _measured: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    _here: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _there: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def measure(self, task: Task, path: Path) -> str:
        """Reads the end of a task's event file, adds its cost if it finished, and returns its status."""
        if len(self._measured[kind(task)]) >= MOST_MEASURED:
            return ending_of(path, 1)[0]
        status, seconds = ending_of(path)
        if status == contract.FINISHED and not math.isnan(seconds):
            size = _size(path)
            for estimate in _estimates(task):
                self._measured[estimate.name].append((seconds / estimate.times, size))
            self._compare(task, seconds)
        return status

    def of(self, task: Task) -> Cost | None:
        """Returns the mean cost of tasks of the same kind, else an estimate from others; None if there are none."""
        for estimate in _estimates(task):
            if measured := self._measured.get(estimate.name):
                seconds, sizes = zip(*measured)
                source = f"finished {estimate.tasks} in {self.folder}"
                return Cost(estimate.times * fmean(seconds), fmean(sizes), source)
            if known := self.shipped.get(estimate.name):
                ratio = self._ratio(known.machine)
                source = known.source if ratio == 1 else f"{known.source}, times {ratio:.2f} as in {self.folder}"
                return replace(known, seconds=ratio * estimate.times * known.seconds, source=source)
        return None

    def _compare(self, task: Task, seconds: float) -> None:
        """Adds a finished task to those by which this machine is compared with that of the shipped table."""
        *same, _ = _estimates(task)
        for estimate in same:
            if known := self.shipped.get(estimate.name):
                self._here[known.machine] += seconds
                self._there[known.machine] += estimate.times * known.seconds
                return

    def _ratio(self, machine: str) -> float:
        """Returns how many times as long tasks take here as on that machine; 1 where too few are known."""
        there = self._there.get(machine, 0.0)
        return self._here[machine] / there if there >= LEAST_SECONDS else 1.0


def shipped() -> dict[str, Cost]:
    """Returns the shipped table, by the names of estimates: the mean over the rows that have a name."""
    table = json.loads(SHIPPED.read_text(encoding="utf-8"))
    rows: dict[tuple[str, str], list[Cost]] = defaultdict(list)
    for row in table["costs"]:
        cost = Cost(row["seconds"], row["bytes"], "", row.get("machine", table["machine"]))
        rows[row["kind"], ""].append(cost)
        if "length" in row:
            rows[row["but_length"], f"{OTHER_LENGTH} of "].append(replace(cost, seconds=cost.seconds / row["length"]))
        rows[row["what"], f"{SIMILAR} of "].append(cost)
    found = {}
    for (name, tasks), own in rows.items():
        machine = "; ".join(dict.fromkeys(cost.machine for cost in own))
        mean = fmean(cost.seconds for cost in own), fmean(cost.bytes for cost in own)
        found[name] = Cost(*mean, f"{tasks}zapbench's own runs ({machine})", machine)
    return found


def what_of(task: Task) -> str:
    """Returns what similar tasks share, in words: scenario and strategy, or scenario, transfer and role."""
    scenario, trial = config.name_of(task.run.scenario), task.trial
    if trial is None:
        return f"{scenario}: {config.name_of(task.run.strategy)}"
    return f"{scenario}: {config.name_of(trial.transfer)}, {trial.role}"


def kind(task: Task) -> str:
    """Returns a digest of everything that a task's cost depends on."""
    return _digest(*_without_seed(task), ())


def kind_but_length(task: Task) -> tuple[str, float] | None:
    """Returns a digest of everything but a pre-training's length, and the length; None where there is no one length."""
    if task.trial is not None:
        return None
    run, trial = _without_seed(task)
    lengths = []
    for key, value in _configuration(run, trial).items():
        if key.rpartition(".")[2] in LENGTHS:
            with suppress(ValueError):
                lengths.append(float(value))
    return (_digest(run, trial, LENGTHS), lengths[0]) if len(lengths) == 1 and lengths[0] > 0 else None


def _estimates(task: Task) -> Iterator[Estimate]:
    """Yields the ways to estimate a task's cost, the best first, that from similar tasks last."""
    yield Estimate(kind(task), 1, "tasks")
    if other := kind_but_length(task):
        yield Estimate(*other, OTHER_LENGTH)
    yield Estimate(what_of(task), 1, SIMILAR)


def _without_seed(task: Task) -> tuple[RunSpec, TrialSpec | None]:
    trial = None if task.trial is None else replace(task.trial, rate=0.0, seed=0)
    return replace(task.run, seed=0), trial


@functools.lru_cache(maxsize=4096)
def _digest(run: RunSpec, trial: TrialSpec | None, without: tuple[str, ...]) -> str:
    """Returns a digest of what a task's cost depends on, without parameters of these names."""
    lines = [
        f"{config.with_first_names(key)} = {value}"
        for key, value in _configuration(run, trial).items()
        if key.rpartition(".")[2] not in (*RATES, *without)
    ]
    role = "" if trial is None else trial.role
    model = "given" if run.weights and trial is None else ""
    return hashlib.sha256("\n".join([role, model, *without, *lines]).encode()).hexdigest()[:12]


@functools.lru_cache(maxsize=4096)
def _configuration(run: RunSpec, trial: TrialSpec | None) -> Mapping[str, str]:
    """Returns the configuration that a task reads, macros put in; a trial's without its pre-training."""
    bound = config.bindings_of("scenarios", run.scenario) | config.bindings_of("strategies", run.strategy)
    bound |= {b.key: b.value for b in (*run.bindings, *run.setting) if config.reaches_pretraining(b)}
    if trial is not None:  # a trial costs the same however its model was pre-trained
        bound = {key: value for key, value in bound.items() if key not in ("run.strategy", "run.optimizer")}
        bound |= config.bindings_of("transfers", trial.transfer)
        bound |= {b.key: b.value for b in (*trial.bindings, *trial.setting)}
    return config.follow(bound)


def _size(path: Path) -> int:
    files: Iterable[Path] = (path, path.with_name(CHECKPOINT))
    return sum(os.stat(file).st_size for file in files if file.exists())
