"""Engines that run jobs: in this process, or in worker processes that are kept warm.

An error ends its run, not the suite; a run that failed is tried once more. A full disk or a missing permission ends
everything, with one line. A worker that dies is replaced and its run tried again; workers end with their launcher,
however that ends.
"""

import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from zapbench import config
from zapbench.display import Show
from zapbench.stopping import Stopped
from zapbench.suite import Outcome, RunSpec, TrialSpec

Work = tuple[RunSpec, tuple[TrialSpec, ...]]
"""A run with its trials of one transfer; without trials: its pre-training alone."""

TRIES = 2


class Engine:
    """Runs jobs here, one after another."""

    def __init__(self, out: Path, command: str, threads: int) -> None:
        self._out, self._command = out, command
        self._stop = threading.Event()
        prepare_process(threads)

    def check(self, jobs: list[Work]) -> None:
        """Makes everything that the jobs will use, and trains nothing.

        Raises:
            ValueError: something does not fit.
        """
        check_jobs(jobs, self._out)

    def stop(self) -> None:
        """Asks for a clean end: each run stops at its next point or trial."""
        self._stop.set()

    def close(self) -> None:
        """Gives back what the engine holds."""

    def run(self, jobs: list[list[Work]], show: Show) -> Iterator[Outcome]:
        """Runs jobs, each of one run, and yields how each ended."""
        for number, job in enumerate(jobs):
            name = _name(job)

            def progress(phase: str, done: int, total: int, number: int = number, name: str = name) -> None:
                show.update((number, name, phase, done, total))
                if self._stop.is_set():
                    raise Stopped

            for attempt in range(TRIES):
                outcome = run_jobs(job, self._out, self._command, progress)
                if not outcome.failed or attempt == TRIES - 1:
                    break
                show.say(f"{name}: {_word(outcome)}; trying once more")
            show.finish(number, name, _word(outcome))
            yield outcome
            if outcome.stopped or outcome.fatal:
                return


class Pool(Engine):
    """Runs jobs in worker processes."""

    def __init__(self, out: Path, command: str, threads: int, workers: int) -> None:
        self._out, self._command, self._threads, self._workers = out, command, threads, workers
        self._context = multiprocessing.get_context("spawn")
        self._messages: Any = self._context.Queue()
        self._asked: Any = self._context.Event()
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers,
            mp_context=self._context,
            initializer=_start_worker,
            initargs=(self._messages, self._asked, self._threads),
        )

    def check(self, jobs: list[Work]) -> None:
        """See `Engine.check`."""
        reason = self._pool.submit(_check_in_worker, jobs, self._out).result()
        if reason:
            raise ValueError(reason)

    def stop(self) -> None:
        """See `Engine.stop`."""
        self._asked.set()

    def run(self, jobs: list[list[Work]], show: Show) -> Iterator[Outcome]:
        """See `Engine.run`; the order in which runs end is theirs."""
        waiting = list(enumerate(jobs))
        tries = dict.fromkeys(range(len(jobs)), 0)
        running: dict[Future[Outcome], int] = {}
        ended_listening = threading.Event()
        threading.Thread(target=self._listen, args=(show, ended_listening), daemon=True).start()
        try:
            while running or (waiting and not self._asked.is_set()):
                while waiting and len(running) < self._workers and not self._asked.is_set():
                    number, job = waiting.pop(0)
                    tries[number] += 1
                    running[self._pool.submit(_run_in_worker, number, job, self._out, self._command)] = number
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                lost = False
                for future in ended:
                    number = running.pop(future)
                    name = _name(jobs[number])
                    outcome = _outcome_of(future, str(self._out / jobs[number][0][0].folder))
                    lost |= future.exception() is not None
                    if outcome.failed and tries[number] < TRIES:
                        show.say(f"{name}: {_word(outcome)}; trying once more")
                        waiting.insert(0, (number, jobs[number]))
                        continue
                    show.finish(number, name, _word(outcome))
                    yield outcome
                    if outcome.fatal:
                        return
                if lost:
                    self._replace_pool(running, waiting, jobs)
        finally:
            ended_listening.set()
        if waiting:
            yield Outcome(stopped=True)

    def _replace_pool(
        self, running: dict[Future[Outcome], int], waiting: list[tuple[int, list[Work]]], jobs: list[list[Work]]
    ) -> None:
        """A lost worker takes the whole pool with it, and what ran beside it."""
        for number in running.values():
            waiting.insert(0, (number, jobs[number]))
        running.clear()
        self.close()
        self._pool = self._new_pool()

    def _listen(self, show: Show, ended: threading.Event) -> None:
        while not ended.is_set():
            with suppress(queue.Empty):
                show.update(self._messages.get(timeout=0.2))

    def close(self) -> None:
        """Ends the workers at once; what they were writing is whole or not there."""
        processes = list((getattr(self._pool, "_processes", None) or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def prepare_process(threads: int) -> None:
    """Readies this process for training: its number of threads, and no word of what Avalanche does not need."""
    for message in ("no QP solver found", "Call to deprecated function"):
        warnings.filterwarnings("ignore", message=message)
    import torch

    torch.set_num_threads(threads)


def check_jobs(jobs: list[Work], out: Path) -> None:
    """See `Engine.check`."""
    from zapbench.experiment import execute
    from zapbench.place import Job

    for run, trials in jobs:
        try:
            execute(Job(run, trials, out, check=True))
        except TypeError as error:  # a value of the wrong type, or a parameter that is missing
            raise ValueError(config.explain(error)) from error


def run_jobs(jobs: list[Work], out: Path, command: str, progress: Callable[[str, int, int], None]) -> Outcome:
    """Runs the jobs of one run; never raises but for what ends this process."""
    from zapbench.experiment import execute
    from zapbench.place import Job

    whole = Outcome()
    for run, trials in jobs:
        try:
            whole.add(execute(Job(run, trials, out, command, progress=progress)))
        except Stopped:
            whole.stopped = True
        except Exception as error:
            whole.failed[str(out / run.folder)] = reason_of(error)
        if whole.stopped or whole.fatal or whole.failed:
            break
    return whole


_messages: Any = None
_asked: Any = None


def _start_worker(messages: Any, asked: Any, threads: int) -> None:
    global _messages, _asked
    _messages, _asked = messages, asked
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; it is the launcher's to handle
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    prepare_process(threads)


def _end_with_launcher() -> None:
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os._exit(1)


def _check_in_worker(jobs: list[Work], out: Path) -> str:
    try:
        check_jobs(jobs, out)
    except ValueError as error:
        return config.explain(error)
    return ""


def _run_in_worker(number: int, jobs: list[Work], out: Path, command: str) -> Outcome:
    name = _name(jobs)

    def progress(phase: str, done: int, total: int) -> None:
        _messages.put((number, name, phase, done, total))
        if _asked.is_set():
            raise Stopped

    return run_jobs(jobs, out, command, progress)


def _outcome_of(future: Future[Outcome], folder: str) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # the worker died, or what it raised cannot be sent
        return Outcome(failed={folder: f"its process was lost ({reason_of(error)})"})


def reason_of(error: BaseException) -> str:
    """Returns an error in one line, its kind first."""
    return f"{type(error).__name__.removesuffix('ExceptionProxy')}: {config.explain(error)}"


def _name(jobs: list[Work]) -> str:
    return jobs[0][0].folder.as_posix()


def _word(outcome: Outcome) -> str:
    if outcome.stopped:
        return "stopped"
    if outcome.fatal:
        return f"stopped ({outcome.fatal})"
    if outcome.failed:
        return f"failed ({next(iter(outcome.failed.values()))})"
    return f"done, {len(outcome.diverged)} task(s) diverged" if outcome.diverged else "done"
