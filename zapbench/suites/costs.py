"""Costs of tasks in seconds and bytes, measured on finished tasks of the same kind or else read from a shipped table.

Two tasks are of one **kind** if their configurations differ only in seeds and learning rates, which change what is
learned but not what it costs. Where no task of the kind was measured, the estimate is the mean over **similar** tasks:
those of the same scenario and strategy or, for trials, of the same scenario, transfer and role. They may differ in
width or length, so the forecast says that it is of similar tasks.
"""

import functools
import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from zapbench import config
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import ending_of
from zapbench.tasks import CHECKPOINT, RunSpec, Task, TrialSpec

SHIPPED = Path(__file__).with_name("costs.json")
RATES = ("lr", "inner_lr")
MOST_MEASURED = 20
"""How many finished tasks of a kind are measured at most."""


@dataclass(frozen=True)
class Cost:
    """The cost of one task.

    Attributes:
        seconds: wall-clock time.
        bytes: disk space.
        source: which tasks were measured.
    """

    seconds: float
    bytes: float
    source: str


@dataclass
class Costs:
    """Costs by kind of task: those measured in an output folder, else those of the shipped table.

    Attributes:
        folder: name of the output folder.
        shipped: the shipped table, by kind and by `what_of`.
    """

    folder: str
    shipped: Mapping[str, Cost] = field(default_factory=dict)
    _measured: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))

    def measure(self, task: Task, path: Path) -> str:
        """Reads the end of a task's event file, adds its cost if it finished, and returns its status."""
        measured = self._measured[kind(task)]
        if len(measured) >= MOST_MEASURED:
            return ending_of(path, 1)[0]
        status, seconds = ending_of(path)
        if status == contract.FINISHED and not math.isnan(seconds):
            cost = seconds, _size(path)
            measured.append(cost)
            self._measured[what_of(task)].append(cost)
        return status

    def of(self, task: Task) -> Cost | None:
        """Returns the mean cost of tasks of the same kind, else of similar ones; None if none was measured."""
        for name, tasks in ((kind(task), "tasks"), (what_of(task), "similar tasks")):
            if measured := self._measured.get(name):
                seconds, sizes = zip(*measured)
                return Cost(fmean(seconds), fmean(sizes), f"finished {tasks} in {self.folder}")
            if name in self.shipped:
                return self.shipped[name]
        return None


def shipped() -> dict[str, Cost]:
    """Returns the shipped table, by kind and, as the mean over kinds, by `what_of`."""
    table = json.loads(SHIPPED.read_text(encoding="utf-8"))
    source = f"zapbench's own runs ({table['machine']})"
    found = {row["kind"]: Cost(row["seconds"], row["bytes"], source) for row in table["costs"]}
    alike: dict[str, list[Cost]] = defaultdict(list)
    for row in table["costs"]:
        alike[row["what"]].append(found[row["kind"]])
    for what, own in alike.items():
        found[what] = Cost(fmean(c.seconds for c in own), fmean(c.bytes for c in own), f"similar tasks of {source}")
    return found


def what_of(task: Task) -> str:
    """Returns what similar tasks share, in words: scenario and strategy, or scenario, transfer and role."""
    scenario, trial = config.name_of(task.run.scenario), task.trial
    if trial is None:
        return f"{scenario}: {config.name_of(task.run.strategy)}"
    return f"{scenario}: {config.name_of(trial.transfer)}, {trial.role}"


def kind(task: Task) -> str:
    """Returns a digest of everything that a task's cost depends on."""
    trial = None if task.trial is None else replace(task.trial, rate=0.0, seed=0)
    return _kind(replace(task.run, seed=0), trial)


@functools.lru_cache(maxsize=4096)
def _kind(run: RunSpec, trial: TrialSpec | None) -> str:
    bound = config.bindings_of("scenarios", run.scenario) | config.bindings_of("strategies", run.strategy)
    bound |= {b.key: b.value for b in (*run.bindings, *run.setting) if config.reaches_pretraining(b)}
    if trial is not None:  # a trial costs the same however its model was pre-trained
        bound = {key: value for key, value in bound.items() if key not in ("run.strategy", "run.optimizer")}
        bound |= config.bindings_of("transfers", trial.transfer) | {b.key: b.value for b in trial.bindings}
    lines = [
        f"{config.with_first_names(key)} = {value}"
        for key, value in config.follow(bound).items()
        if key.rsplit(".", 1)[-1] not in RATES
    ]
    role = "" if trial is None else trial.role
    model = "given" if run.weights and trial is None else ""
    return hashlib.sha256("\n".join([role, model, *lines]).encode()).hexdigest()[:12]


def _size(path: Path) -> int:
    files: Iterable[Path] = (path, path.with_name(CHECKPOINT))
    return sum(os.stat(file).st_size for file in files if file.exists())
