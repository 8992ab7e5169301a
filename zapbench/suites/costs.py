"""What tasks cost, in seconds and bytes: from finished ones of the same kind, else from a table that is shipped.

Two tasks are of one **kind** where their configurations agree in all but seeds and learning rates: those change what is
learned, not what it takes.
"""

import functools
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from zapbench import config
from zapbench.config import Binding
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import ending_of
from zapbench.tasks import Task

SHIPPED = Path(__file__).with_name("costs.json")
CHECKPOINT = "checkpoint.pt"
RATES = ("lr", "inner_lr")
ENOUGH = 20
"""Finished tasks of a kind whose costs are read."""


@dataclass(frozen=True)
class Cost:
    """What one task takes.

    Attributes:
        seconds: wall-clock.
        bytes: on the disk.
        source: where that was measured, in words.
    """

    seconds: float
    bytes: float
    source: str


@dataclass
class Costs:
    """What tasks of each kind cost: those seen first, then those that are shipped."""

    place: str
    shipped: Mapping[str, Cost] = field(default_factory=dict)
    _seen: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))

    def see(self, task: Task, path: Path) -> str:
        """Takes in a task's event file, unless enough of its kind were, and returns the task's status."""
        seen = self._seen[kind(task)]
        if len(seen) >= ENOUGH:
            return ending_of(path, 1)[0]
        status, seconds = ending_of(path)
        if status == contract.FINISHED and seconds == seconds:
            seen.append((seconds, _weight(path)))
        return status

    def of(self, task: Task) -> Cost | None:
        """Returns what such a task costs; None where nobody has measured it."""
        name = kind(task)
        if seen := self._seen.get(name):
            return Cost(fmean(s for s, _ in seen), fmean(b for _, b in seen), f"finished tasks in {self.place}")
        return self.shipped.get(name)


def shipped() -> dict[str, Cost]:
    """Returns the shipped table, by kind."""
    table = json.loads(SHIPPED.read_text(encoding="utf-8"))
    source = f"zapbench's own runs ({table['machine']})"
    return {row["kind"]: Cost(row["seconds"], row["bytes"], source) for row in table["costs"]}


def kind(task: Task) -> str:
    """Returns a digest of what decides a task's cost."""
    run, trial = task.run, task.trial
    own = (*run.bindings, *run.setting)
    if trial is None:
        return _kind(run.scenario, run.strategy, own, run.weights, "", (), "")
    return _kind(run.scenario, run.strategy, own, run.weights, trial.transfer, trial.bindings, trial.role)


@functools.lru_cache(maxsize=4096)
def _kind(
    scenario: str,
    strategy: str,
    bindings: tuple[Binding, ...],
    weights: str,
    transfer: str,
    transfer_bindings: tuple[Binding, ...],
    role: str,
) -> str:
    whole = config.bindings_of("scenarios", scenario) | config.bindings_of("strategies", strategy)
    whole |= {b.key: b.value for b in bindings if config.reaches_pretraining(b)}
    if transfer:  # how the model was pre-trained is the same to a transfer
        whole = {key: value for key, value in whole.items() if key not in ("run.strategy", "run.optimizer")}
        whole |= config.bindings_of("transfers", transfer) | {b.key: b.value for b in transfer_bindings}
    reached = config.follow(whole)
    lines = [f"{key} = {value}" for key, value in reached.items() if key.rsplit(".", 1)[-1] not in RATES]
    text = "\n".join([role, "given" if weights and not transfer else "", *lines])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _weight(path: Path) -> int:
    files: Iterable[Path] = (path, path.with_name(CHECKPOINT))
    return sum(os.stat(file).st_size for file in files if file.exists())
