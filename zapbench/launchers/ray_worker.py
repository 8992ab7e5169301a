"""The code that runs on a node of a Ray cluster: it runs a job in the output folder, or in a temporary folder.

A node works in the output folder if it can read the launcher's token there and lock it, with a lock that is released
when its process dies. Otherwise the job receives the files that it resumes from, and its files are sent back.
"""

import functools
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from zapbench.launchers.job import limit_library_threads, prepare_process, reason_to_refuse
from zapbench.launchers.local import run_logged
from zapbench.launchers.progress import Message
from zapbench.launchers.run_files import Files, changed_files, write_files
from zapbench.launchers.worker_logs import LOGS, log_name, log_output, redirect_output
from zapbench.tasks import Job, Outcome, Stopped

REPORT_SECONDS = 0.5
"""Seconds between two reports of a job in one phase, at least."""


@dataclass(frozen=True)
class WorkerSettings:
    """What every task of a launcher needs to know.

    Attributes:
        out: absolute path of the output folder on the launcher's machine.
        shown: the output folder as the person named it; messages use it.
        token: name of a file in the output folder; the file contains its own name.
        command: the command line, which descriptions record.
        threads: threads per task.
        folder: the launcher's working directory; nodes that have such a folder change to it.
        environment: variables that a node sets unless it has them already.
    """

    out: Path
    shown: Path
    token: str
    command: str
    threads: int
    folder: Path
    environment: Mapping[str, str]


@dataclass
class JobResult:
    """How a job ended; its files and its output unless they are already in the output folder.

    Attributes:
        outcome: how the job ended.
        files: the files that it made or changed.
        log: name of the log file to append `printed` to.
        printed: what it printed.
    """

    outcome: Outcome
    files: Files = field(default_factory=dict)
    log: str = ""
    printed: bytes = b""


class ProgressActor:
    """Collects the progress of jobs and answers whether they are to stop; a Ray actor on the launcher's node."""

    def __init__(self) -> None:
        self._stopping = False
        self._latest: dict[int, Message] = {}
        self._started: list[tuple[int, str]] = []

    def start(self, number: int, node: str) -> bool:
        """Records that a job starts on a node; returns whether it is to stop."""
        self._started.append((number, node))
        return self._stopping

    def report(self, message: Message) -> bool:
        """Records the progress of a job; returns whether it is to stop."""
        self._latest[message[0]] = message
        return self._stopping

    def exchange(self, stopping: bool) -> tuple[list[Message], list[tuple[int, str]]]:
        """Sets whether jobs are to stop; returns the progress since the last call, and (job, node) of those started."""
        self._stopping = stopping
        latest, started = list(self._latest.values()), self._started
        self._latest, self._started = {}, []
        return latest, started


class ProgressReporter:
    """Reports the progress of a job to the actor without waiting: Ray would lend a waiting task's cores to another."""

    def __init__(self, actor: Any, number: int, name: str) -> None:
        self._actor, self._number, self._name = actor, number, name
        self._answer: Future[bool] | None = None
        self._phase, self._reported = "", 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        """See `zapbench.tasks.Progress`."""
        if self._answer is not None and self._answer.done():
            if is_to_stop(self._answer):
                raise Stopped
            self._answer = None
        now = time.monotonic()
        if self._answer is None and (phase != self._phase or now - self._reported >= REPORT_SECONDS):
            self._phase, self._reported = phase, now
            self._answer = self._actor.report.remote((self._number, self._name, phase, done, total)).future()


def is_to_stop(answer: "Future[bool]", seconds: float = 0.0) -> bool:
    """Returns the actor's answer; False if the actor died or does not answer within `seconds`, so the job continues."""
    from ray.exceptions import RayError

    try:
        return answer.result(timeout=seconds)
    except (RayError, FutureTimeout):
        return False


def can_work_in(out: Path, token: str) -> bool:
    """Returns whether this machine can work in the launcher's output folder.

    Locks on the disk must be released when the process that holds them dies; otherwise a node that dies would leave its
    run locked forever. On disks without `flock`, `filelock` uses a plain file, which is not released.
    """
    try:
        import fcntl

        with (out / token).open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return file.read() == token
    except (OSError, ImportError):
        return False


def run_on_node(settings: WorkerSettings, number: int, job: Job, files: Files | None, actor: Any) -> JobResult | None:
    """Runs a job; returns None if this node cannot work in the output folder and received no files to resume from."""
    import ray

    _prepare(settings)
    name, node = job.name, ray.get_runtime_context().get_node_id()
    if is_to_stop(actor.start.remote(number, node).future(), seconds=10.0):
        return JobResult(Outcome(stopped=True))
    reporter, where = ProgressReporter(actor, number, name), f" on node {node}"
    if can_work_in(settings.out, settings.token):
        log_output(settings.out / LOGS)
        outcome = run_logged(job, settings.out, settings.command, reporter, where)
        return JobResult(_renamed(outcome, settings.out, settings.shown))
    if files is None:
        return None
    log = _temporary_log()
    since = os.fstat(log.fileno()).st_size
    with tempfile.TemporaryDirectory(prefix="zapbench-") as scratch:
        out = Path(scratch)
        write_files(files, out)
        outcome = run_logged(job, out, settings.command, reporter, where)
        if outcome.fatal:  # it concerns this node's own disk, which other nodes do not use
            outcome = Outcome(failed={str(out / job.run.folder): f"{outcome.fatal}{where}"})
        changed = changed_files(out, job, files)
    printed = os.pread(log.fileno(), os.fstat(log.fileno()).st_size - since, since)
    return JobResult(_renamed(outcome, out, settings.shown), changed, log_name(), printed)


def check_on_node(settings: WorkerSettings, jobs: list[Job], files: Files) -> str:
    """Returns the reason to refuse the jobs, or nothing; `files` are the heads of event files in the output folder."""
    _prepare(settings)
    with tempfile.TemporaryDirectory(prefix="zapbench-") as scratch:
        write_files(files, Path(scratch))
        return reason_to_refuse(jobs, Path(scratch)).replace(scratch, str(settings.shown))


def _prepare(settings: WorkerSettings) -> None:
    for name, value in settings.environment.items():
        os.environ.setdefault(name, value)
    with suppress(OSError):
        os.chdir(settings.folder)
    limit_library_threads(settings.threads)
    prepare_process(settings.threads)


@functools.cache
def _temporary_log() -> IO[bytes]:
    """Redirects what this process prints to a temporary file, and returns it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it stays open until the process ends
    redirect_output(file.fileno())
    return file


def _renamed(outcome: Outcome, here: Path, there: Path) -> Outcome:
    """Returns an outcome with the output folder's name `here` replaced by `there`."""

    def renamed(text: str) -> str:
        return text.replace(str(here), str(there))

    return Outcome(
        failed={renamed(folder): renamed(reason) for folder, reason in outcome.failed.items()},
        diverged={renamed(folder): renamed(reason) for folder, reason in outcome.diverged.items()},
        stopped=outcome.stopped,
        fatal=renamed(outcome.fatal),
    )
