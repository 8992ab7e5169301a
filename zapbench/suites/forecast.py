"""Forecasts the time and disk space that the unfinished tasks of a suite take, without torch."""

import heapq
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zapbench import config
from zapbench.leaderboard import contract
from zapbench.suites.costs import Cost, Costs, shipped
from zapbench.suites.plan import Plan, rates_of
from zapbench.suites.suite import Suite
from zapbench.tasks import Task

SETTLED = (contract.FINISHED, contract.DIVERGED)


@dataclass
class Part:
    """Tasks of one scenario and strategy: its pre-trainings, or its trials of one transfer and role.

    Attributes:
        scenario: its name.
        strategy: its name.
        what: `pre-training`, or the transfer and the role.
        grid: the number of tasks as a product, for example `2 seeds x 4 trials`.
        tasks: number of tasks.
        done: number of tasks that finished or diverged.
        seconds: total time of the other tasks; NaN if no such task was measured.
        bytes: total disk space of the other tasks; NaN if no such task was measured.
        source: which tasks were measured; empty if none was.
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
    """The forecast of a suite.

    Attributes:
        parts: in the order of the plan.
        seconds: wall-clock time of the tasks that are left; parts of unknown cost are not counted.
        jobs: number of processes.
        sources: which tasks were measured.
    """

    parts: list[Part]
    seconds: float
    jobs: int
    sources: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return sum(part.tasks for part in self.parts)

    @property
    def done(self) -> int:
        """Number of tasks that finished or diverged."""
        return sum(part.done for part in self.parts)

    @property
    def bytes(self) -> float:
        """Disk space of the tasks that are left; parts of unknown cost are not counted."""
        return sum(part.bytes for part in self.parts if not math.isnan(part.bytes))

    @property
    def unknown(self) -> list[Part]:
        """The parts that are not done and of which no task was measured."""
        return [part for part in self.parts if math.isnan(part.seconds)]


def forecast(plan: Plan, out: Path, jobs: int) -> Forecast:
    """Looks up which tasks of a suite are done below `out`, and adds up the costs of the others.

    The reported trials of a suite that is not `full` are run at one setting and rate per method and transfer. Which one
    is not known before selection, so a reported trial counts as done if it is done at any setting and rate.

    Raises:
        ValueError: a name is unknown.
    """
    suite, costs = plan.suite, Costs(str(out), shipped())
    parts: dict[tuple[str, str, str], Part] = {}
    first_stage: dict[Path, float] = defaultdict(float)
    second_stage: dict[tuple[str, str, int], float] = defaultdict(float)
    for task, done in _expected(suite, _looked_up(plan, out, costs)):
        cost = None if done else costs.of(task)
        _add(parts, suite, task, done, cost)
        seconds = cost.seconds if cost else 0.0
        if _is_reported(task) and not suite.full:
            second_stage[task.run.scenario, task.run.strategy, task.run.seed] += seconds
        else:
            first_stage[task.run.folder] += seconds
    seconds = _makespan(first_stage.values(), jobs) + _makespan(second_stage.values(), jobs)
    sources = dict.fromkeys(part.source for part in parts.values() if part.source)
    return Forecast(list(parts.values()), seconds, jobs, list(sources))


def _looked_up(plan: Plan, out: Path, costs: Costs) -> list[tuple[Task, bool]]:
    """Returns every task that the suite may run, and whether it is done; measures the finished ones."""
    existing = set(_event_files(out))
    looked_up = []
    for task in plan.tasks:
        path = os.path.join(task.folder, contract.EVENT_FILE)
        looked_up.append((task, path in existing and costs.measure(task, out / path) in SETTLED))
    return looked_up


def _expected(suite: Suite, looked_up: Sequence[tuple[Task, bool]]) -> list[tuple[Task, bool]]:
    """Returns the tasks that the suite will run: of reported trials, one setting and rate unless it is `full`."""
    if suite.full:
        return list(looked_up)
    kept: list[tuple[Task, bool]] = []
    reported: dict[tuple[str, str, int, str, int], tuple[Task, bool]] = {}
    for task, done in looked_up:
        if task.trial is None or not _is_reported(task):
            kept.append((task, done))
            continue
        key = (task.run.scenario, task.run.strategy, task.run.seed, task.trial.transfer, task.trial.seed)
        if key not in reported or done:
            reported[key] = (task, done)
    return kept + list(reported.values())


def _is_reported(task: Task) -> bool:
    return task.trial is not None and task.trial.role == contract.REPORT


def _add(parts: dict[tuple[str, str, str], Part], suite: Suite, task: Task, done: bool, cost: Cost | None) -> None:
    """Adds a task to its part; a missing cost makes the part's costs NaN."""
    run = task.run
    what = "pre-training" if task.trial is None else f"{config.name_of(task.trial.transfer)}, {task.trial.role}"
    key = (config.name_of(run.scenario), config.name_of(run.strategy), what)
    if key not in parts:
        parts[key] = Part(*key, _grid(suite, task))
    part = parts[key]
    part.tasks += 1
    if done:
        part.done += 1
        return
    part.seconds += cost.seconds if cost else math.nan
    part.bytes += cost.bytes if cost else math.nan
    part.source = cost.source if cost else ""


def _grid(suite: Suite, task: Task) -> str:
    """Returns the number of tasks in this one's part as a product, for example `2 seeds x 4 trials`."""
    trial = task.trial
    selected = _is_reported(task) and not suite.full
    counts = {} if selected else {"setting": len(suite.settings_of(task.run.scenario, task.run.strategy))}
    if trial is not None and not selected:
        counts["setting"] *= len(suite.settings_of(task.run.scenario, trial.transfer))
    counts["seed"] = len(suite.seed_list)
    if trial is not None:
        counts |= {} if selected else {"rate": len(rates_of(suite, trial.transfer))}
        counts["trial"] = suite.trials if trial.role == contract.REPORT else suite.select_trials
    factors = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items()]
    return " x ".join(factors) + (", as selected" if selected else "")


def _event_files(out: Path) -> Iterable[str]:
    for folder, _, names in os.walk(out):
        if contract.EVENT_FILE in names:
            yield os.path.join(os.path.relpath(folder, out), contract.EVENT_FILE)


def _makespan(durations: Iterable[float], workers: int) -> float:
    """Returns how long `workers` take if each takes the next of these durations, in order, when it is free."""
    ends = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)
