"""Runs a suite's tasks in local processes: what is finished is skipped, what was cut off goes on.

First every configuration is checked, then models are pre-trained and selection trials run; then selection is made
from the logs, and the reported trials run at what it chose.
"""

import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from zapbench import config
from zapbench.leaderboard import contract
from zapbench.leaderboard.load import load, status_of
from zapbench.leaderboard.select import choose
from zapbench.suite import Choice, RunSpec, Suite, Task, TrialSpec, group, plan

if TYPE_CHECKING:
    from zapbench.experiment import Outcome

Work = tuple[RunSpec, tuple[TrialSpec, ...]]
Message = tuple[int, str, str, int, int]


@dataclass
class Summary:
    """How a suite ended.

    Attributes:
        tasks: tasks of the plan.
        done_before: tasks that an earlier call had finished.
        failed: folder -> reason.
        diverged: folder -> reason.
    """

    tasks: int = 0
    done_before: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    diverged: dict[str, str] = field(default_factory=dict)


def run_suite(
    suite: Suite,
    out: Path,
    *,
    workers: int,
    threads: int,
    command: str,
    console: Console,
    in_process: bool = False,
) -> Summary:
    """Runs all of a suite that is not finished.

    Args:
        suite: the grid.
        out: output folder.
        workers: processes side by side.
        threads: threads of each.
        command: the command line, kept in descriptions.
        console: where progress is shown.
        in_process: run here instead of in workers (for a single run).

    Raises:
        ValueError: a configuration cannot be used; nothing was trained.
    """
    summary = Summary()
    first = plan(suite)
    with _engine(out, command, threads, 1 if in_process else workers, in_process) as engine:
        with console.status("checking every configuration"):
            engine.check(_work(first))
        _stage(engine, first, out, summary, console, "pre-training and selection")
        if not suite.full:
            chosen = choices(suite, out)
            second = [t for t in plan(suite, chosen) if t.trial is not None and t.trial.role == contract.REPORT]
            _stage(engine, second, out, summary, console, "reported trials")
    return summary


def choices(suite: Suite, out: Path) -> Choice:
    """Returns what the selection trials under `out` choose, a setting and a rate for each method and transfer."""
    logs = load(out)
    found: dict[tuple[str, str, str], tuple[tuple[config.Binding, ...], float]] = {}
    for task in plan(replace(suite, full=True)):
        if task.trial is None:
            continue
        run, trial = task.run, task.trial
        key = (run.scenario, run.strategy, trial.transfer)
        if key in found:
            continue
        own = logs.trials[
            (logs.trials["method"].str.split(" + ", regex=False).str[0] == run.method)
            & (logs.trials["transfer"] == config.name_of(trial.transfer))
            & logs.trials["file"].str.startswith(f"{config.name_of(run.scenario)}/")
        ]
        for chosen in choose(own).values():
            settings = {r.folder.parent.as_posix(): r.setting for r in _runs_like(suite, run)}
            row = own[(own["config_hash"] == chosen.config_hash) & (own["rate"] == chosen.rate)].iloc[0]
            folder = "/".join(str(row["file"]).split("/")[:3])
            if folder in settings:
                found[key] = (settings[folder], chosen.rate)
    return found


def _runs_like(suite: Suite, run: RunSpec) -> list[RunSpec]:
    return [t.run for t in plan(suite) if t.trial is None and t.run.strategy == run.strategy]


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


def _stage(engine: "_Engine", tasks: list[Task], out: Path, summary: Summary, console: Console, title: str) -> None:
    settled = (contract.FINISHED, contract.DIVERGED)
    missing = [task for task in tasks if status_of(out / task.folder / contract.EVENT_FILE) not in settled]
    summary.tasks += len(tasks)
    summary.done_before += len(tasks) - len(missing)
    if not missing:
        return
    # One job a run: its transfers wait for its pre-training anyway, and then share its process's warm caches.
    by_run: dict[RunSpec, list[Work]] = {}
    for run, trials in _work(missing):
        by_run.setdefault(run, []).append((run, trials))
    with _display(console, title, len(by_run)) as show:
        for outcome in engine.run(list(by_run.values()), show):
            summary.failed |= outcome.failed
            summary.diverged |= outcome.diverged


class _Show:
    """One live display: all runs, and a line for each that is being worked on; lines of text where nobody looks."""

    def __init__(self, progress: Progress, console: Console, title: str, total: int) -> None:
        self._progress = progress
        self._console = console
        self._total = total
        self._done = 0
        self._all = progress.add_task(title, total=total, note="runs")
        self._lines: dict[int, TaskID] = {}

    def update(self, message: Message) -> None:
        number, name, phase, done, total = message
        if number not in self._lines:
            self._lines[number] = self._progress.add_task(name, total=total, note=phase)
        self._progress.update(self._lines[number], completed=done, total=max(total, 1), note=phase)

    def finish(self, number: int, name: str, word: str) -> None:
        if number in self._lines:
            self._progress.remove_task(self._lines.pop(number))
        self._done += 1
        self._progress.advance(self._all)
        if not self._console.is_terminal or word != "done":
            self._console.print(f"{self._done}/{self._total} {name}: {word}", markup=False, highlight=False)


@contextmanager
def _display(console: Console, title: str, total: int) -> Iterator[_Show]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Show(progress, console, title, total)


class _Engine:
    """Runs jobs here, one after another."""

    def __init__(self, out: Path, command: str, threads: int) -> None:
        self._out, self._command, self._threads = out, command, threads
        prepare_process(threads)

    def check(self, jobs: list[Work]) -> None:
        check_jobs(jobs, self._out)

    def run(self, jobs: list[list[Work]], show: _Show) -> Iterator["Outcome"]:
        for number, job in enumerate(jobs):
            name = _name(job[0][0])

            def progress(phase: str, done: int, total: int, number: int = number, name: str = name) -> None:
                show.update((number, name, phase, done, total))

            outcome = run_jobs(job, self._out, self._command, progress)
            show.finish(number, name, _word(outcome))
            yield outcome


class _Pool(_Engine):
    """Runs jobs in worker processes, kept warm; a worker that dies is replaced, its job repeated once."""

    def __init__(self, out: Path, command: str, threads: int, workers: int) -> None:
        self._out, self._command, self._threads, self._workers = out, command, threads, workers
        self._context = multiprocessing.get_context("spawn")
        self._messages: Any = self._context.Queue()
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers,
            mp_context=self._context,
            initializer=_start_worker,
            initargs=(self._messages, self._threads),
        )

    def check(self, jobs: list[Work]) -> None:
        reason = self._pool.submit(_check_in_worker, jobs, self._out).result()
        if reason:
            raise ValueError(reason)

    def run(self, jobs: list[list[Work]], show: _Show) -> Iterator["Outcome"]:
        waiting = list(enumerate(jobs))
        tries: dict[int, int] = {}
        running: dict[Future[Outcome], int] = {}
        stop = threading.Event()
        listener = threading.Thread(target=self._listen, args=(show, stop), daemon=True)
        listener.start()
        try:
            while waiting or running:
                while waiting and len(running) < self._workers:
                    number, job = waiting.pop(0)
                    tries[number] = tries.get(number, 0) + 1
                    running[self._pool.submit(_run_in_worker, number, job, self._out, self._command)] = number
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                broken = False
                for future in ended:
                    number = running.pop(future)
                    name = _name(jobs[number][0][0])
                    try:
                        outcome = future.result()
                    except Exception as error:  # the worker died, or what it raised cannot be sent
                        broken = True
                        outcome = _lost(jobs[number], self._out, error)
                    if outcome.failed and tries[number] < 2:
                        waiting.insert(0, (number, jobs[number]))
                        continue
                    show.finish(number, name, _word(outcome))
                    yield outcome
                if broken:
                    for number in running.values():  # they died with the pool
                        waiting.insert(0, (number, jobs[number]))
                    running.clear()
                    self._pool.shutdown(wait=False, cancel_futures=True)
                    self._pool = self._new_pool()
        finally:
            stop.set()

    def _listen(self, show: _Show, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                show.update(self._messages.get(timeout=0.2))
            except queue.Empty:
                continue

    def close(self) -> None:
        """Ends the workers at once; what they were writing is whole or not there."""
        processes = list((getattr(self._pool, "_processes", None) or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


@contextmanager
def _engine(out: Path, command: str, threads: int, workers: int, in_process: bool) -> Iterator[_Engine]:
    if in_process:
        yield _Engine(out, command, threads)
        return
    pool = _Pool(out, command, threads, workers)
    try:
        yield pool
    finally:
        pool.close()


def prepare_process(threads: int) -> None:
    """Readies this process for training: its number of threads, and no word of what Avalanche does not need."""
    warnings.filterwarnings("ignore", message="no QP solver found")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def check_jobs(jobs: list[Work], out: Path) -> None:
    """Makes everything that the jobs will use, and trains nothing.

    Raises:
        ValueError: something does not fit.
    """
    from zapbench.experiment import Job, execute

    for run, trials in jobs:
        try:
            execute(Job(run, trials, out, check=True))
        except TypeError as error:  # a value of the wrong type, or a parameter that is missing
            raise ValueError(config.explain(error)) from error


def run_jobs(jobs: list[Work], out: Path, command: str, progress: Callable[[str, int, int], None]) -> "Outcome":
    """Runs the jobs of one run; an error ends this run, not the suite."""
    from zapbench.experiment import Job, Outcome, execute

    whole = Outcome()
    for run, trials in jobs:
        try:
            outcome = execute(Job(run, trials, out, command, progress=progress))
        except Exception as error:
            whole.failed[str(out / run.folder)] = _reason(error)
            break
        whole.failed |= outcome.failed
        whole.diverged |= outcome.diverged
    return whole


_messages: Any = None


def _start_worker(messages: Any, threads: int) -> None:
    global _messages
    _messages = messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's to handle
    prepare_process(threads)


def _check_in_worker(jobs: list[Work], out: Path) -> str:
    try:
        check_jobs(jobs, out)
    except ValueError as error:
        return config.explain(error)
    return ""


def _run_in_worker(number: int, jobs: list[Work], out: Path, command: str) -> "Outcome":
    name = _name(jobs[0][0])
    return run_jobs(jobs, out, command, lambda phase, done, total: _messages.put((number, name, phase, done, total)))


def _lost(jobs: list[Work], out: Path, error: Exception) -> "Outcome":
    from zapbench.experiment import Outcome

    return Outcome(failed={str(out / jobs[0][0].folder): f"its process was lost ({_reason(error)})"})


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__.removesuffix('ExceptionProxy')}: {config.explain(error)}"


def _name(run: RunSpec) -> str:
    return run.folder.as_posix()


def _word(outcome: "Outcome") -> str:
    if outcome.failed:
        return f"failed ({next(iter(outcome.failed.values()))})"
    return f"done, {len(outcome.diverged)} task(s) diverged" if outcome.diverged else "done"
