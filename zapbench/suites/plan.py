"""From a suite to its tasks: pure, and without torch."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from zapbench import config
from zapbench.config import Binding
from zapbench.leaderboard import contract
from zapbench.suites.search import Setting
from zapbench.suites.suite import Suite
from zapbench.tasks import Role, RunSpec, Task, TrialSpec
from zapbench.text import nearest

Choice = Mapping[tuple[str, str, str], tuple[tuple[Binding, ...], tuple[Binding, ...], float]]
"""(scenario, strategy, transfer) -> the settings of both and the rate that were selected."""
HEAD = "run.transfer_head"
"""A transfer that binds it takes no gradient step, and so has no learning rate."""


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
            found.append(RunSpec(scenario, strategy, seed, setting, own, tried, suite.name, suite.weights_of(seed)))
    reached = {binding for run in found for binding in run.bindings}
    for binding in bindings:
        if binding not in reached:
            names = {n for run in found for n in config.names_in_reach(run.scenario, run.strategy, suite.transfers)}
            raise ValueError(f"{binding} reaches nothing in these runs{nearest(binding.selector, names)}")
    return found


@dataclass(frozen=True)
class Plan:
    """Every task that a suite may run: its pre-trainings and selection trials, and its reported trials at every rate.

    Attributes:
        suite: the grid.
        tasks: pre-training before its trials.
    """

    suite: Suite
    tasks: tuple[Task, ...]

    @cached_property
    def folders(self) -> frozenset[str]:
        """The folders of the tasks below the output folder, which several suites may share."""
        return frozenset(task.folder.as_posix() for task in self.tasks)

    @cached_property
    def runs(self) -> dict[RunSpec, list[Task]]:
        """The tasks by run."""
        return group(self.tasks)

    def known_tasks(self) -> list[Task]:
        """Returns the tasks that are known before any selection.

        All but reported trials, unless the suite is `full`; of a strategy with several settings, those of the seeds
        that they are tried on.
        """
        return [task for task in self._before_reports() if not self.waits_for_a_setting(task)]

    def other_seeds(self, choice: Choice) -> list[Task]:
        """Returns the tasks of the seeds on which settings are not tried, at the settings selected for each transfer.

        Args:
            choice: selected on the other seeds.
        """
        return [
            task for task in self._before_reports() if self.waits_for_a_setting(task) and self._is_set(task, choice)
        ]

    def reported_tasks(self, choice: Choice) -> list[Task]:
        """Returns the reported trials at the setting and rate that selection trials chose."""
        return [task for task in self.tasks if _is_reported(task) and _is_chosen(task, choice)]

    @cached_property
    def only_choice(self) -> Choice:
        """What is reported where no trial selects: the one setting and rate of each method and transfer.

        Raises:
            ValueError: a method or a transfer has several.
        """
        found: dict[tuple[str, str, str], tuple[tuple[Binding, ...], tuple[Binding, ...], float]] = {}
        for task in self.tasks:
            run, trial = task.run, task.trial
            if trial is not None and _is_reported(task):
                key, candidate = (run.scenario, run.strategy, trial.transfer), (run.setting, trial.setting, trial.rate)
                if found.setdefault(key, candidate) != candidate:
                    raise ValueError(
                        f"there are no selection trials, and {config.name_of(run.strategy)} has several settings or "
                        f"rates in {config.name_of(trial.transfer)} to select from; ask for some, or for one rate"
                    )
        return found

    def waits_for_a_setting(self, task: Task) -> bool:
        """Returns whether a task belongs to a seed that is run at the selected setting of its strategy alone."""
        run = task.run
        return run.seed not in self.suite.tuning_seeds and len(self.suite.settings_of(run.scenario, run.strategy)) > 1

    def _before_reports(self) -> list[Task]:
        return [task for task in self.tasks if self.suite.full or not _is_reported(task)]

    def _is_set(self, task: Task, choice: Choice) -> bool:
        transfers = self.suite.transfers if task.trial is None else [task.trial.transfer]
        chosen = [choice.get((task.run.scenario, task.run.strategy, transfer)) for transfer in transfers]
        return any(of is not None and of[0] == task.run.setting for of in chosen)


def plan(suite: Suite) -> Plan:
    """Returns every task that a suite may run.

    Raises:
        ValueError: an unknown name, or reported trials that nothing selects a setting and rate for.
    """
    for transfer in suite.transfers:
        config.find("transfers", transfer)
    tasks = []
    for run in runs(suite):
        tasks.append(Task(run))
        for transfer in suite.transfers:
            tasks += _trials(suite, run, transfer)
    planned = Plan(suite, tuple(tasks))
    if not suite.select_trials and not suite.full:
        _ = planned.only_choice
    return planned


def _trials(suite: Suite, run: RunSpec, transfer: str) -> Iterator[Task]:
    own = _reaching(run, transfer)
    settings = [_setting(s) for s in suite.transfer_settings_of(run.scenario, transfer)]
    tried = run.settings_tried * len(settings) * suite.transfer_tried_before_of(run.scenario, transfer)
    roles: tuple[tuple[Role, int], ...] = (("select", suite.select_trials), ("report", suite.trials))
    for setting, rate, (role, count) in itertools.product(settings, rates_of(suite, transfer), roles):
        for seed in range(count):
            yield Task(run, TrialSpec(transfer, rate, role, seed, own, setting, tried))


def rates_of(suite: Suite, transfer: str) -> Sequence[float]:
    """Returns the rates of a transfer's trials: one stands for all where the head is computed without steps."""
    return suite.rates[:1] if HEAD in config.bindings_of("transfers", transfer) else suite.rates


def _is_reported(task: Task) -> bool:
    return task.trial is not None and task.trial.role == contract.REPORT


def _is_chosen(task: Task, choice: Choice) -> bool:
    run, trial = task.run, task.trial
    assert trial is not None
    return choice.get((run.scenario, run.strategy, trial.transfer)) == (run.setting, trial.setting, trial.rate)


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
