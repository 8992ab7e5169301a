"""Runs what is not finished of a suite, in stages.

First every configuration is checked, then models are pre-trained and selection trials run; then selection is made
from the logs, and the reported trials run at what it chose.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from zapbench import config
from zapbench.config import Binding
from zapbench.launchers.interrupts import clean_end
from zapbench.launchers.job import Work
from zapbench.launchers.local import Engine
from zapbench.launchers.progress import display
from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.select import choose
from zapbench.leaderboard.read.cache import default_cache
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import status_of
from zapbench.suites.plan import Choice, group, plan
from zapbench.suites.results import own_folders
from zapbench.suites.suite import Suite
from zapbench.tasks import Outcome, RunSpec, Task, TrialSpec

SETTLED = (contract.FINISHED, contract.DIVERGED)


@dataclass
class Summary:
    """How a suite ended: tasks of its plan, those done before, and the outcome of the others."""

    tasks: int = 0
    done_before: int = 0
    outcome: Outcome = field(default_factory=Outcome)


def run_suite(suite: Suite, out: Path, new_engine: Callable[[], Engine], console: Console) -> Summary:
    """Runs all of a suite that is not finished.

    Args:
        suite: the grid.
        out: output folder.
        new_engine: makes what runs the jobs; it is closed in the end.
        console: where progress is shown.

    Raises:
        ValueError: a configuration cannot be used; nothing was trained.
        OSError: nothing can be written in `out`.
    """
    summary = Summary()
    first = plan(suite)
    with _to_the_end(new_engine(), console) as engine:
        with console.status("checking every configuration"):
            engine.check(_work(first))
        _check_writable(out)
        _stage(engine, first, out, summary, console, "pre-training and selection")
        if not suite.full and not (summary.outcome.stopped or summary.outcome.fatal):
            chosen = choices(suite, out)
            reported = [t for t in plan(suite, chosen) if t.trial is not None and t.trial.role == contract.REPORT]
            _stage(engine, reported, out, summary, console, "reported trials")
    return summary


def choices(suite: Suite, out: Path) -> Choice:
    """Returns what the selection trials below `out` choose: a setting and a rate a method and transfer."""
    trials = load(out, cache=default_cache(), only=own_folders(suite)).trials
    found: dict[tuple[str, str, str], tuple[tuple[Binding, ...], float]] = {}
    by_variant = {run.folder.parent.as_posix(): run for run in group(plan(suite))}
    variants = trials["file"].str.split("/").str[:3].str.join("/")
    for transfer in suite.transfers:
        own = trials[trials["transfer"] == config.name_of(transfer)]
        for (_, _), rows in own.groupby(["scenario", "method"]):
            for chosen in choose(rows).values():
                row = rows[(rows["config_hash"] == chosen.config_hash) & (rows["rate"] == chosen.rate)].index[0]
                run = by_variant[variants[row]]
                found[run.scenario, run.strategy, transfer] = (run.setting, chosen.rate)
    return found


@contextmanager
def _to_the_end(engine: Engine, console: Console) -> Iterator[Engine]:
    def ask() -> None:
        console.print("stopping at the next point; once more to stop at once", highlight=False)
        engine.stop()

    try:
        with clean_end(ask):
            yield engine
    finally:
        engine.close()


def _check_writable(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    probe = out / ".writable"
    probe.touch()
    probe.unlink(missing_ok=True)


def _work(tasks: Iterable[Task]) -> list[Work]:
    """Returns jobs: a run with its trials of one transfer each; a run without trials alone."""
    jobs: list[Work] = []
    for run, own in group(tasks).items():
        by_transfer: dict[str, list[TrialSpec]] = {}
        for task in own:
            if task.trial is not None:
                by_transfer.setdefault(task.trial.transfer, []).append(task.trial)
        jobs += [(run, tuple(trials)) for trials in by_transfer.values()] or [(run, ())]
    return jobs


def _stage(engine: Engine, tasks: list[Task], out: Path, summary: Summary, console: Console, title: str) -> None:
    missing = [task for task in tasks if status_of(out / task.folder / contract.EVENT_FILE) not in SETTLED]
    summary.tasks += len(tasks)
    summary.done_before += len(tasks) - len(missing)
    if not missing:
        return
    # One job a run: its transfers wait for its pre-training anyway, and then share its process's warm caches.
    by_run: dict[RunSpec, list[Work]] = {}
    for run, trials in _work(missing):
        by_run.setdefault(run, []).append((run, trials))
    with display(console, title, len(by_run)) as show:
        for outcome in engine.run(list(by_run.values()), show):
            summary.outcome.add(outcome)
