"""Forecasts the time and disk space that the unfinished tasks of a suite take, without torch."""

import heapq
import math
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zapbench import config
from zapbench.config import Binding
from zapbench.leaderboard import contract
from zapbench.suites.costs import Cost, Costs, shipped
from zapbench.suites.plan import Plan, rates_of
from zapbench.suites.suite import Suite
from zapbench.tasks import Task
from zapbench.text import count


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
        sources: which tasks were measured; empty if none was.
    """

    scenario: str
    strategy: str
    what: str
    grid: str
    tasks: int = 0
    done: int = 0
    seconds: float = 0.0
    bytes: float = 0.0
    sources: list[str] = field(default_factory=list)


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
    is not known before selection, so a reported trial counts as done if it is done at any setting and rate. Likewise
    of seeds that are run at one selected setting of their strategy: it is taken to be the one of which most is done,
    and to be the same for every transfer.

    Raises:
        ValueError: a name is unknown.
    """
    suite, costs = plan.suite, Costs(str(out), shipped())
    parts: dict[tuple[str, str, str], Part] = {}
    stages: list[dict[Hashable, float]] = [defaultdict(float) for _ in range(3)]
    for task, done in _expected(plan, _looked_up(plan, out, costs)):
        cost = None if done else costs.of(task)
        _add(parts, plan, task, done, cost)
        seconds = cost.seconds if cost else 0.0
        if _is_reported(task) and not suite.full:
            stages[2][task.run.scenario, task.run.strategy, task.run.seed] += seconds
        else:
            stages[plan.waits_for_a_setting(task)][task.run.folder] += seconds
    seconds = sum(_makespan(stage.values(), jobs) for stage in stages)
    sources = dict.fromkeys(source for part in parts.values() for source in part.sources)
    return Forecast(list(parts.values()), seconds, jobs, list(sources))


def _looked_up(plan: Plan, out: Path, costs: Costs) -> list[tuple[Task, bool]]:
    """Returns every task that the suite may run, and whether it is done; measures the finished ones."""
    existing = set(_event_files(out))
    looked_up = []
    for task in plan.tasks:
        path = os.path.join(task.folder, contract.EVENT_FILE)
        looked_up.append((task, path in existing and costs.measure(task, out / path) in contract.ENDED))
    return looked_up


def _expected(plan: Plan, looked_up: Sequence[tuple[Task, bool]]) -> list[tuple[Task, bool]]:
    """Returns the tasks that the suite will run: of what waits for a selection, those of one setting and rate."""
    kept: list[tuple[Task, bool]] = []
    reported: dict[tuple[str, str, int, str, int], tuple[Task, bool]] = {}
    waiting: dict[tuple[str, str, int], dict[tuple[Binding, ...], list[tuple[Task, bool]]]] = {}
    for task, done in looked_up:
        run, trial = task.run, task.trial
        if trial is not None and _is_reported(task) and not plan.suite.full:
            key = (run.scenario, run.strategy, run.seed, trial.transfer, trial.seed)
            if key not in reported or done:
                reported[key] = (task, done)
        elif plan.waits_for_a_setting(task):
            settings = waiting.setdefault((run.scenario, run.strategy, run.seed), {})
            settings.setdefault(run.setting, []).append((task, done))
        else:
            kept.append((task, done))
    for settings in waiting.values():
        kept += max(settings.values(), key=lambda own: sum(done for _, done in own))
    return kept + list(reported.values())


def _is_reported(task: Task) -> bool:
    return task.trial is not None and task.trial.role == contract.REPORT


def _add(parts: dict[tuple[str, str, str], Part], plan: Plan, task: Task, done: bool, cost: Cost | None) -> None:
    """Adds a task to its part; a missing cost makes the part's costs NaN."""
    run = task.run
    what = "pre-training" if task.trial is None else f"{config.name_of(task.trial.transfer)}, {task.trial.role}"
    key = (config.name_of(run.scenario), config.name_of(run.strategy), what)
    if key not in parts:
        parts[key] = Part(*key, _grid(plan.suite, task))
    part = parts[key]
    part.tasks += 1
    if done:
        part.done += 1
        return
    part.seconds += cost.seconds if cost else math.nan
    part.bytes += cost.bytes if cost else math.nan
    if cost and cost.source not in part.sources:
        part.sources.append(cost.source)


def _grid(suite: Suite, task: Task) -> str:
    """Returns the number of tasks in this one's part as a product, for example `2 seeds x 4 trials`."""
    trial = task.trial
    selected = _is_reported(task) and not suite.full
    factors = [_models(suite, len(suite.settings_of(task.run.scenario, task.run.strategy)), selected)]
    if trial is not None and not selected:
        if (own := len(suite.transfer_settings_of(task.run.scenario, trial.transfer))) > 1:
            factors.append(count(own, "transfer setting"))
        factors.append(count(len(rates_of(suite, trial.transfer)), "rate"))
    if trial is not None:
        factors.append(count(suite.trials if trial.role == contract.REPORT else suite.select_trials, "trial"))
    product = " x ".join(factors) if len(factors) > 1 else factors[0].strip("()")
    return product + (", as selected" if selected else "")


def _models(suite: Suite, settings: int, selected: bool) -> str:
    """Returns the number of pre-trained models as a product of settings and seeds."""
    seeds = len(suite.seed_list)
    if selected:
        return count(seeds, "seed")
    others = seeds - len(suite.tuning_seeds)
    if settings == 1 or not others:
        return f"{count(settings, 'setting')} x {count(seeds, 'seed')}"
    return f"({count(settings, 'setting')} x {count(seeds - others, 'seed')} + {count(others, 'seed')})"


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
