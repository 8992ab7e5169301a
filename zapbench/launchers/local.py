"""Engines that run jobs: in this process, or in worker processes that are kept warm.

An error ends its run, not the suite; a run that failed is tried once more. A full disk or a missing permission ends
everything, with one line. A worker that dies is replaced and its run tried again; workers end with their launcher,
however that ends. What a worker prints or warns of, and where an error came from, is kept in a file of its own.
"""

import functools
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from zapbench.launchers.gpus import VISIBLE
from zapbench.launchers.job import (
    Work,
    check_jobs,
    limit_libraries,
    name_of,
    prepare_process,
    reason_of,
    run_jobs,
    what_does_not_fit,
    word_of,
)
from zapbench.launchers.progress import Show
from zapbench.launchers.schedule import TRIES, run_side_by_side
from zapbench.tasks import Outcome, Progress, Stopped

LOGS = "logs"
"""Folder below the output folder: a file a worker, named after its machine and process."""


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
            name = name_of(job)

            def progress(phase: str, done: int, total: int, number: int = number, name: str = name) -> None:
                show.update((number, name, phase, done, total))
                if self._stop.is_set():
                    raise Stopped

            for attempt in range(TRIES):
                outcome = run_jobs(job, self._out, self._command, progress)
                if not outcome.failed or attempt == TRIES - 1:
                    break
                show.say(f"{name}: {word_of(outcome)}; trying once more")
            show.finish(number, name, word_of(outcome))
            yield outcome
            if outcome.stopped or outcome.fatal:
                return


class Pool(Engine):
    """Runs jobs in worker processes.

    Args:
        out: output folder.
        command: the command line, kept in descriptions.
        threads: threads of each process.
        workers: processes side by side.
        devices: the GPUs that each process may see; none to leave that as it is.
    """

    def __init__(self, out: Path, command: str, threads: int, workers: int, devices: Sequence[str] = ()) -> None:
        self._out, self._command, self._threads, self._workers = out, command, threads, workers
        self._devices = devices
        self._context = multiprocessing.get_context("spawn")
        self._messages: Any = self._context.Queue()
        self._asked: Any = self._context.Event()
        self._lost = False
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        devices: Any = self._context.Queue()
        for device in self._devices:
            devices.put(device)
        return ProcessPoolExecutor(
            self._workers,
            mp_context=self._context,
            initializer=_start_worker,
            initargs=(self._messages, self._asked, self._threads, devices if self._devices else None),
        )

    def check(self, jobs: list[Work]) -> None:
        """See `Engine.check`."""
        reason = self._pool.submit(what_does_not_fit, jobs, self._out).result()
        if reason:
            raise ValueError(reason)

    def stop(self) -> None:
        """See `Engine.stop`."""
        self._asked.set()

    def run(self, jobs: list[list[Work]], show: Show) -> Iterator[Outcome]:
        """See `Engine.run`; the order in which runs end is theirs."""
        ended_listening = threading.Event()
        threading.Thread(target=self._listen, args=(show, ended_listening), daemon=True).start()
        try:
            yield from run_side_by_side(self, jobs, show, self._asked.is_set)
        finally:
            ended_listening.set()

    def room(self) -> int:
        """See `Crew.room`."""
        return self._workers

    def submit(self, number: int, job: list[Work]) -> Future[Outcome]:
        """See `Crew.submit`."""
        return self._pool.submit(_run_in_worker, number, job, self._out, self._command)

    def outcome_of(self, number: int, job: list[Work], future: Future[Outcome]) -> Outcome:
        """See `Crew.outcome_of`."""
        try:
            return future.result()
        except Exception as error:  # the worker died, or what it raised cannot be sent
            self._lost = True
            return lost(self._out, job, error)

    def recover(self) -> bool:
        """See `Crew.recover`: a lost worker takes the whole pool with it, and what ran beside it."""
        if not self._lost:
            return False
        self._lost = False
        self.close()
        self._pool = self._new_pool()
        return True

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


_messages: Any = None
_asked: Any = None


def _start_worker(messages: Any, asked: Any, threads: int, devices: Any) -> None:
    global _messages, _asked
    _messages, _asked = messages, asked
    if devices is not None:
        os.environ[VISIBLE] = devices.get()
    limit_libraries(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; it is the launcher's to handle
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    prepare_process(threads)


def _end_with_launcher() -> None:
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os._exit(1)


@functools.cache
def keep_output(folder: Path) -> None:
    """Sends what this process prints to a file of its own from now on, libraries in C too."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / log_name()).open("ab") as file:
        send_output(file.fileno())


def log_name() -> str:
    """Returns what the file is called that keeps what this process prints."""
    return f"{socket.gethostname()}-{os.getpid()}.log"


def send_output(descriptor: int) -> None:
    """Sends what this process prints to an open file from now on."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())


def note(text: str) -> None:
    """Prints a line with the time, in UTC."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


def run_noted(jobs: list[Work], out: Path, command: str, progress: Progress, where: str = "") -> Outcome:
    """Runs the jobs of one run, and prints when it begins and how it ends."""
    name = name_of(jobs)
    note(f"{name} begins{where}")
    outcome = run_jobs(jobs, out, command, progress, traceback.print_exc)
    note(f"{name}: {word_of(outcome)}")
    return outcome


def _run_in_worker(number: int, jobs: list[Work], out: Path, command: str) -> Outcome:
    name = name_of(jobs)
    keep_output(out / LOGS)

    def progress(phase: str, done: int, total: int) -> None:
        _messages.put((number, name, phase, done, total))
        if _asked.is_set():
            raise Stopped

    return run_noted(jobs, out, command, progress)


def lost(out: Path, job: list[Work], error: BaseException) -> Outcome:
    """Returns how jobs ended whose process did not live to say it."""
    return Outcome(failed={str(out / job[0][0].folder): f"its process was lost ({reason_of(error)})"})
