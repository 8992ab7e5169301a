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
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from zapbench import config
from zapbench.devices import VISIBLE
from zapbench.display import Show
from zapbench.jobs import Work, check_jobs, limit_libraries, name_of, prepare_process, reason_of, run_jobs, word_of
from zapbench.stopping import Stopped
from zapbench.suite import Outcome

TRIES = 2
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
                    name = name_of(jobs[number])
                    outcome = _outcome_of(future, str(self._out / jobs[number][0][0].folder))
                    lost |= future.exception() is not None
                    if outcome.failed and tries[number] < TRIES:
                        show.say(f"{name}: {word_of(outcome)}; trying once more")
                        show.drop(number)
                        waiting.insert(0, (number, jobs[number]))
                        continue
                    show.finish(number, name, word_of(outcome))
                    yield outcome
                    if outcome.fatal:
                        return
                if lost:
                    self._replace_pool(running, waiting, jobs, show)
        finally:
            ended_listening.set()
        if waiting:
            yield Outcome(stopped=True)

    def _replace_pool(
        self,
        running: dict[Future[Outcome], int],
        waiting: list[tuple[int, list[Work]]],
        jobs: list[list[Work]],
        show: Show,
    ) -> None:
        """A lost worker takes the whole pool with it, and what ran beside it."""
        for number in running.values():
            waiting.insert(0, (number, jobs[number]))
            show.drop(number)
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


def _check_in_worker(jobs: list[Work], out: Path) -> str:
    try:
        check_jobs(jobs, out)
    except ValueError as error:
        return config.explain(error)
    return ""


@functools.cache
def keep_output(folder: Path) -> None:
    """Sends what this process prints to a file of its own from now on, libraries in C too."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{socket.gethostname()}-{os.getpid()}.log"
    with path.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


def note(text: str) -> None:
    """Prints a line with the time, in UTC."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


def _run_in_worker(number: int, jobs: list[Work], out: Path, command: str) -> Outcome:
    name = name_of(jobs)
    keep_output(out / LOGS)
    note(f"{name} begins")

    def progress(phase: str, done: int, total: int) -> None:
        _messages.put((number, name, phase, done, total))
        if _asked.is_set():
            raise Stopped

    outcome = run_jobs(jobs, out, command, progress, traceback.print_exc)
    note(f"{name}: {word_of(outcome)}")
    return outcome


def _outcome_of(future: Future[Outcome], folder: str) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # the worker died, or what it raised cannot be sent
        return Outcome(failed={folder: f"its process was lost ({reason_of(error)})"})
