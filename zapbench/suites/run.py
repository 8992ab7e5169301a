"""Runs what is not finished of a suite, in stages.

First every configuration is checked, then models are pre-trained and selection trials run; then selection is made
from the logs, and the reported trials run at what it chose. Where settings are tried on the first seeds alone, the
other seeds are pre-trained in between, at the settings that the first ones select.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from zapbench.extras import TRAIN, require
from zapbench.identity import identity_of
from zapbench.launchers.base import Launcher
from zapbench.launchers.interrupts import clean_end
from zapbench.launchers.progress import display, waiting
from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.select import choose
from zapbench.leaderboard.read.cache import default_cache
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import description_of, status_of
from zapbench.suites.plan import Choice, Plan, group
from zapbench.tasks import Job, Outcome, Task, TrialSpec


@dataclass
class Summary:
    """How a suite ended: tasks of its plan, those done before, and the outcome of the others."""

    tasks: int = 0
    done_before: int = 0
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def ended(self) -> bool:
        """Whether nothing else is to be run."""
        return self.outcome.stopped or bool(self.outcome.fatal)


def run_suite(plan: Plan, out: Path, new_launcher: Callable[[], Launcher], console: Console) -> Summary:
    """Runs all of a suite that is not finished.

    Args:
        plan: of the suite.
        out: output folder.
        new_launcher: makes the launcher, which is closed at the end.
        console: where progress is shown.

    Raises:
        ValueError: a configuration cannot be used; nothing was trained.
        OSError: nothing can be written in `out`.
    """
    refuse_other_tasks(plan.tasks, out)
    summary = Summary()
    require(TRAIN)
    with waiting(console, "importing PyTorch and Avalanche") as say, ExitStack() as stack:
        launcher = stack.enter_context(_closing(new_launcher(), console))
        launcher.check(_jobs(plan.known_tasks()), lambda phase, done, total: say(f"{phase}, {done + 1} of {total}"))
        _check_writable(out)
        until_end = stack.pop_all()
    with until_end:
        for title, tasks in _stages(plan, out):
            _stage(launcher, tasks, out, summary, console, title)
            if summary.ended:
                break
    return summary


def _stages(plan: Plan, out: Path) -> Iterator[tuple[str, list[Task]]]:
    """Yields the title and the tasks of each stage; what the later ones run depends on the logs of the earlier ones."""
    first = plan.known_tasks()
    yield "pre-training, trials" if plan.suite.full else "pre-training, selection", first
    if plan.suite.tune_seeds:
        yield "other seeds", plan.other_seeds(_complete(choices(plan, out, plan.suite.tuning_seeds), first, out))
    if not plan.suite.full:
        yield "reported trials", plan.reported_tasks(choices(plan, out))


def refuse_other_tasks(tasks: Iterable[Task], out: Path) -> None:
    """Refuses an output folder in which another task is recorded where one of these belongs.

    Raises:
        ValueError: there is one; says what differs, and how to keep both.
    """
    for task in tasks:
        folder = out / task.folder
        held = description_of(folder / contract.EVENT_FILE)
        if held is not None and (difference := identity_of(task.run, task.trial).difference(held)):
            kind = "run" if task.trial is None else "trial"
            raise ValueError(
                f"{folder} holds another {kind}: {difference}; to keep both, choose another --out or --name"
            )


def choices(plan: Plan, out: Path, seeds: Collection[int] = ()) -> Choice:
    """Returns the settings and the rate of each method and transfer that the selection trials below `out` select.

    Args:
        plan: of the suite.
        out: output folder.
        seeds: the pre-training seeds that count; empty for all.
    """
    if not plan.suite.select_trials:
        return plan.only_choice
    try:
        trials = load(out, cache=default_cache(), only=plan.folders).trials
    except ValueError:  # there are no logs yet, as every task failed before it wrote one
        return {}
    trials = trials[trials["pretrain_seed"].isin(seeds or plan.suite.seed_list)]
    tasks = {task.folder.as_posix(): task for task in plan.tasks if task.trial is not None}
    by_method: dict[tuple[str, str, str], list[int]] = {}
    for place, file in enumerate(trials["file"]):
        task = tasks[file.rpartition("/")[0]]
        by_method.setdefault((task.run.scenario, task.run.strategy, _trial(task).transfer), []).append(place)
    found = {}
    for key, places in by_method.items():
        rows = trials.iloc[places]
        for chosen in choose(rows).values():
            row = rows[(rows["candidate"] == chosen.candidate) & (rows["rate"] == chosen.rate)].iloc[0]
            task = tasks[row["file"].rpartition("/")[0]]
            found[key] = (task.run.setting, _trial(task).setting, chosen.rate)
    return found


def _complete(choice: Choice, tried: Iterable[Task], out: Path) -> Choice:
    """Returns the choices of methods whose settings were all tried: a failed one is repeated before seeds follow it."""
    missing = {(t.run.scenario, t.run.strategy) for t in tried if not _is_settled(t, out)}
    return {key: chosen for key, chosen in choice.items() if key[:2] not in missing}


def _is_settled(task: Task, out: Path) -> bool:
    return status_of(out / task.folder / contract.EVENT_FILE) in contract.ENDED


def _trial(task: Task) -> TrialSpec:
    assert task.trial is not None
    return task.trial


@contextmanager
def _closing(launcher: Launcher, console: Console) -> Iterator[Launcher]:
    def ask() -> None:
        console.print("stopping at the next point; once more to stop at once", highlight=False)
        launcher.stop()

    try:
        with clean_end(ask):
            yield launcher
    finally:
        launcher.close()


def _check_writable(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    probe = out / ".writable"
    probe.touch()
    probe.unlink(missing_ok=True)


def _jobs(tasks: Iterable[Task]) -> list[Job]:
    """Returns one job a run: its trials wait for its pre-training, and then share its process's caches."""
    return [Job(run, tuple(t.trial for t in own if t.trial is not None)) for run, own in group(tasks).items()]


def _stage(launcher: Launcher, tasks: list[Task], out: Path, summary: Summary, console: Console, title: str) -> None:
    missing = [task for task in tasks if not _is_settled(task, out)]
    summary.tasks += len(tasks)
    summary.done_before += len(tasks) - len(missing)
    if not missing:
        return
    jobs = _jobs(missing)
    with display(console, title, len(jobs)) as shown:
        for outcome in launcher.run(jobs, shown):
            summary.outcome.add(outcome)
