"""From a suite to its tasks: pure, and without torch."""

import itertools
from collections.abc import Iterable, Mapping

from zapbench import config
from zapbench.config import Binding
from zapbench.suites.suite import Setting, Suite
from zapbench.tasks import RunSpec, Task, TrialSpec
from zapbench.text import nearest

Choice = Mapping[tuple[str, str, str], tuple[tuple[Binding, ...], float]]
"""(scenario, strategy, transfer) -> the setting and the rate that selection trials chose."""


def runs(suite: Suite) -> list[RunSpec]:
    """Returns the runs of a suite: one a scenario, strategy, setting and seed."""
    bindings = config.parse_bindings(suite.bindings)
    if suite.gpus and not any(b.key == config.DEVICE for b in bindings):
        bindings = (*bindings, *config.parse_bindings([f"{config.DEVICE} = 'cuda'"]))
    found: list[RunSpec] = []
    for scenario, strategy in suite.pairs:
        config.find("scenarios", scenario)
        config.find("strategies", strategy)
        settings = [_setting(s) for s in suite.settings_of(scenario, strategy)]
        tried = len(settings) * suite.tried_before_of(scenario, strategy)
        own = config.concerning(scenario, strategy, suite.transfers, bindings)
        for setting, seed in itertools.product(settings, suite.seed_list):
            found.append(RunSpec(scenario, strategy, seed, setting, own, tried, suite.name, suite.weights))
    reached = {binding for run in found for binding in run.bindings}
    for binding in bindings:
        if binding not in reached:
            names = {n for run in found for n in config.names_in_reach(run.scenario, run.strategy, suite.transfers)}
            raise ValueError(f"{binding} reaches nothing in these runs{nearest(binding.selector, names)}")
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
