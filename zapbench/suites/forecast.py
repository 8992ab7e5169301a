"""What a suite will do, what of it is done, how long the rest takes and how large it is: without torch."""

import heapq
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zapbench import config
from zapbench.leaderboard import contract
from zapbench.suites.costs import Costs, shipped
from zapbench.suites.plan import Plan, rates_of
from zapbench.suites.suite import Suite
from zapbench.tasks import Task

SETTLED = (contract.FINISHED, contract.DIVERGED)


@dataclass
class Part:
    """Tasks of one scenario and strategy that are alike: its pre-trainings, or its trials of one transfer and role.

    Attributes:
        scenario: its name.
        strategy: its name.
        what: `pre-training`, or the transfer and the role.
        grid: how many there are, as a product in words.
        tasks: how many there are.
        done: how many of them are settled.
        seconds: that the others take; NaN where nobody has measured one.
        bytes: that the others take on the disk; NaN where nobody has measured one.
        source: where that was measured, in words; empty where nobody has.
    """

    scenario: str
    strategy: str
    what: str
    grid: str
    tasks: int = 0
    done: int = 0
    seconds: float = 0.0
    bytes: float = 0.0
    source: str = ""


@dataclass
class Forecast:
    """What a suite will do.

    Attributes:
        parts: in the order of the plan.
        seconds: wall-clock of what is left on so many processes, as far as it is known.
        jobs: processes.
        sources: where costs were measured, in words.
    """

    parts: list[Part]
    seconds: float
    jobs: int
    sources: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return sum(part.tasks for part in self.parts)

    @property
    def done(self) -> int:
        """How many of them are settled."""
        return sum(part.done for part in self.parts)

    @property
    def bytes(self) -> float:
        """Bytes that what is left takes, as far as it is known."""
        return sum(part.bytes for part in self.parts if not math.isnan(part.bytes))

    @property
    def unknown(self) -> list[Part]:
        """The parts with something left that nobody has measured."""
        return [part for part in self.parts if math.isnan(part.seconds)]


def forecast(plan: Plan, out: Path, jobs: int) -> Forecast:
    """Looks up what of a suite is done below `out` and adds up what is left.

    The reported trials of a suite that is not `full` are those of one setting and rate a method and transfer; which one
    is not known before selection, so a reported trial counts as done where it is at any of them.

    Raises:
        ValueError: an unknown name.
    """
    suite = plan.suite
    there = set(_event_files(out))
    costs = Costs(str(out), shipped())
    looked_up = []
    for task in plan.tasks:
        path = os.path.join(task.folder, contract.EVENT_FILE)
        looked_up.append((task, path in there and costs.see(task, out / path) in SETTLED))
    parts: dict[tuple[str, str, str], Part] = {}
    first: dict[Path, list[float]] = defaultdict(list)
    then: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for task, settled in _to_do(suite, looked_up):
        run = task.run
        what = "pre-training" if task.trial is None else f"{config.name_of(task.trial.transfer)}, {task.trial.role}"
        key = (config.name_of(run.scenario), config.name_of(run.strategy), what)
        if key not in parts:
            parts[key] = Part(*key, _grid(suite, task))
        part = parts[key]
        part.tasks += 1
        if settled:
            part.done += 1
            continue
        cost = costs.of(task)
        part.seconds += cost.seconds if cost else math.nan
        part.bytes += cost.bytes if cost else math.nan
        part.source = cost.source if cost else ""
        later = task.trial is not None and task.trial.role == contract.REPORT and not suite.full
        known = cost.seconds if cost else 0.0
        (then[run.scenario, run.strategy, run.seed] if later else first[run.folder]).append(known)
    seconds = sum(_makespan([sum(costs) for costs in stage.values()], jobs) for stage in (first, then))
    sources = dict.fromkeys(part.source for part in parts.values() if part.source)
    return Forecast(list(parts.values()), seconds, jobs, list(sources))


def _to_do(suite: Suite, looked_up: Sequence[tuple[Task, bool]]) -> list[tuple[Task, bool]]:
    """Returns the tasks that will be there in the end, of all that there might be, and whether each is settled."""
    if suite.full:
        return list(looked_up)
    kept: list[tuple[Task, bool]] = []
    reported: dict[tuple[str, str, int, str, int], tuple[Task, bool]] = {}
    for task, settled in looked_up:
        trial = task.trial
        if trial is None or trial.role != contract.REPORT:
            kept.append((task, settled))
            continue
        key = (task.run.scenario, task.run.strategy, task.run.seed, trial.transfer, trial.seed)
        if key not in reported or settled:
            reported[key] = (task, settled)
    return kept + list(reported.values())


def _grid(suite: Suite, task: Task) -> str:
    """Returns in words how many tasks like this one there are."""
    trial = task.trial
    chosen = trial is not None and trial.role == contract.REPORT and not suite.full
    counts = {} if chosen else {"setting": len(suite.settings_of(task.run.scenario, task.run.strategy))}
    counts["seed"] = len(suite.seed_list)
    if trial is not None:
        counts |= {} if chosen else {"rate": len(rates_of(suite, trial.transfer))}
        counts["trial"] = suite.trials if trial.role == contract.REPORT else suite.select_trials
    words = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items()]
    return " x ".join(words) + (", as chosen" if chosen else "")


def _event_files(out: Path) -> Iterable[str]:
    for folder, _, names in os.walk(out):
        if contract.EVENT_FILE in names:
            yield os.path.join(os.path.relpath(folder, out), contract.EVENT_FILE)


def _makespan(durations: Iterable[float], workers: int) -> float:
    """Returns how long so many workers take that each take the next of these in order."""
    ends = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)
