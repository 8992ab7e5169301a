"""Launchers of this machine: one runs jobs in this process, one in worker processes that stay alive between jobs.

A worker that dies is replaced, and its job is tried again. Workers end when their launcher's process ends.
"""

import multiprocessing
import os
import queue
import shutil
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from zapbench.extras import TRAIN, require
from zapbench.launchers.base import Launcher
from zapbench.launchers.gpus import VISIBLE
from zapbench.launchers.job import (
    check_jobs,
    limit_library_threads,
    prepare_process,
    reason_of,
    reason_to_refuse,
    run_job,
)
from zapbench.launchers.progress import Display
from zapbench.launchers.schedule import TRIES, run_concurrently
from zapbench.launchers.scratch import name_semaphores, new_scratch, use_scratch
from zapbench.launchers.worker_logs import LOGS, log_output, print_with_time
from zapbench.tasks import Job, Outcome, Progress, Stopped, silent

NO_JOB = -1
"""Number of messages about the check."""

MESSAGE_SECONDS = 0.2
"""How long to wait for a message before the state of the jobs is looked at again."""


class InProcessLauncher(Launcher):
    """Runs jobs in this process, one after another.

    Args:
        out: output folder.
        command: the command line, which descriptions record.
        threads: threads of this process.
    """

    def __init__(self, out: Path, command: str, threads: int) -> None:
        super().__init__(out, command)
        self._stop = threading.Event()
        prepare_process(threads)

    def check(self, jobs: list[Job], progress: Progress = silent) -> None:
        """See `Launcher.check`."""
        check_jobs(jobs, self.out, progress)

    def stop(self) -> None:
        """See `Launcher.stop`."""
        self._stop.set()

    def run(self, jobs: list[Job], display: Display) -> Iterator[Outcome]:
        """See `Launcher.run`."""
        for number, job in enumerate(jobs):

            def progress(phase: str, done: int, total: int, number: int = number, name: str = job.name) -> None:
                display.update((number, name, phase, done, total))
                if self._stop.is_set():
                    raise Stopped

            for attempt in range(TRIES):
                outcome = run_job(job, self.out, self.command, progress)
                if not outcome.failed or attempt == TRIES - 1:
                    break
                display.say(f"{job.name}: {outcome}; trying once more")
            display.finish(number, job.name, str(outcome))
            yield outcome
            if outcome.stopped or outcome.fatal:
                return


class ProcessPoolLauncher(Launcher):
    """Runs jobs in worker processes.

    Args:
        out: output folder.
        command: the command line, which descriptions record.
        threads: threads per process.
        workers: number of processes.
        devices: the GPUs that each process may use; empty to leave the environment unchanged.
    """

    def __init__(self, out: Path, command: str, threads: int, workers: int, devices: Sequence[str] = ()) -> None:
        super().__init__(out, command)
        require(TRAIN)  # a worker that cannot start says less
        self._threads, self._workers, self._devices = threads, workers, devices
        name_semaphores()
        self._context = multiprocessing.get_context("spawn")
        self._messages: Any = self._context.Queue()
        self._stopping: Any = self._context.Event()
        self._worker_died = False
        self._scratch = new_scratch()
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        devices: Any = self._context.Queue()
        for device in self._devices:
            devices.put(device)
        return ProcessPoolExecutor(
            self._workers,
            mp_context=self._context,
            initializer=_start_worker,
            initargs=(self._messages, self._stopping, self._threads, devices if self._devices else None, self._scratch),
        )

    def check(self, jobs: list[Job], progress: Progress = silent) -> None:
        """See `Launcher.check`; a worker runs the check, while the others start."""
        checked = self._pool.submit(_check_in_worker, jobs, self.out)
        for _ in range(min(self._workers, len(jobs)) - 1):
            self._pool.submit(os.getpid)  # a process is started where no other is idle
        while not checked.done():
            with suppress(queue.Empty):
                _, _, phase, done, total = self._messages.get(timeout=MESSAGE_SECONDS)
                progress(phase, done, total)
        reason = checked.result()
        if reason:
            raise ValueError(reason)

    def stop(self) -> None:
        """See `Launcher.stop`."""
        self._stopping.set()

    def run(self, jobs: list[Job], display: Display) -> Iterator[Outcome]:
        """See `Launcher.run`."""
        ended = threading.Event()
        threading.Thread(target=self._show_messages, args=(display, ended), daemon=True).start()
        try:
            yield from run_concurrently(self, jobs, display, self._stopping.is_set)
        finally:
            ended.set()

    def capacity(self) -> int:
        """See `Workers.capacity`."""
        return self._workers

    def submit(self, number: int, job: Job) -> Future[Outcome]:
        """See `Workers.submit`."""
        return self._pool.submit(_run_in_worker, number, job, self.out, self.command)

    def outcome_of(self, job: Job, number: int, future: Future[Outcome]) -> Outcome | None:
        """See `Workers.outcome_of`."""
        try:
            return future.result()
        except Exception as error:  # the worker died, or its error cannot be pickled
            self._worker_died = True
            return outcome_of_dead_worker(self.out, job, error)

    def recover(self) -> bool:
        """See `Workers.recover`: the death of one worker breaks the pool and ends the jobs of all its workers."""
        if not self._worker_died:
            return False
        self._worker_died = False
        self._kill_workers()
        self._pool = self._new_pool()
        return True

    def _show_messages(self, display: Display, ended: threading.Event) -> None:
        while not ended.is_set():
            with suppress(queue.Empty):
                message = self._messages.get(timeout=MESSAGE_SECONDS)
                if message[0] != NO_JOB:
                    display.update(message)

    def close(self) -> None:
        """See `Launcher.close`."""
        self._kill_workers()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _kill_workers(self) -> None:
        """Kills the workers, which may happen at any moment because they write files atomically."""
        processes = list((getattr(self._pool, "_processes", None) or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


_messages: Any = None
_stopping: Any = None


def _start_worker(messages: Any, stopping: Any, threads: int, devices: Any, scratch: Path) -> None:
    global _messages, _stopping
    _messages, _stopping = messages, stopping
    use_scratch(scratch)
    if devices is not None:
        os.environ[VISIBLE] = devices.get()
    limit_library_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all processes; the launcher handles it
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    prepare_process(threads)


def _end_with_launcher() -> None:
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os._exit(1)


def run_logged(job: Job, out: Path, command: str, progress: Progress, where: str = "") -> Outcome:
    """Runs a job and prints when it starts and how it ends; `where` follows its name."""
    print_with_time(f"{job.name} starts{where}")
    outcome = run_job(job, out, command, progress, traceback.print_exc)
    print_with_time(f"{job.name}: {outcome}")
    return outcome


def _check_in_worker(jobs: list[Job], out: Path) -> str:
    return reason_to_refuse(jobs, out, lambda phase, done, total: _messages.put((NO_JOB, "", phase, done, total)))


def _run_in_worker(number: int, job: Job, out: Path, command: str) -> Outcome:
    log_output(out / LOGS)

    def progress(phase: str, done: int, total: int) -> None:
        _messages.put((number, job.name, phase, done, total))
        if _stopping.is_set():
            raise Stopped

    return run_logged(job, out, command, progress)


def outcome_of_dead_worker(out: Path, job: Job, error: BaseException) -> Outcome:
    """Returns the outcome of a job whose process died."""
    return Outcome(failed={str(out / job.run.folder): f"its process died ({reason_of(error)})"})
