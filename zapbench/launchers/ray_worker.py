"""What a node of a Ray cluster does for a suite: it runs a job in the output folder, or in a scratch folder of its own.

A node works in the output folder where it sees the launcher's token in it and can lock it with a lock that ends with
its holder. Anywhere else a job gets the files that it goes on from, and what it made is sent back whole.
"""

import functools
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from zapbench.launchers.job import limit_libraries, prepare_process, reason_to_refuse
from zapbench.launchers.local import run_logged
from zapbench.launchers.progress import Message
from zapbench.launchers.run_files import Files, changed_files, write_files
from zapbench.launchers.worker_logs import LOGS, log_name, log_output, redirect_output
from zapbench.tasks import Job, Outcome, Stopped

TELL_SECONDS = 0.5
"""Seconds between two words of a run in one phase."""


@dataclass(frozen=True)
class WorkerSettings:
    """What every task of a launcher is told.

    Attributes:
        out: the output folder, as the launcher's machine sees it.
        shown: the same, as a person named it.
        token: name of a file in it; the file holds its own name.
        command: the command line, for descriptions.
        threads: of each task.
        folder: where the launcher works; tasks work there, too, where there is such a folder.
        environment: variables that a node gets where it has none of its own.
    """

    out: Path
    shown: Path
    token: str
    command: str
    threads: int
    folder: Path
    environment: Mapping[str, str]


@dataclass
class Answer:
    """How a job ended, what it made and what it printed, if that is not in the output folder already."""

    outcome: Outcome
    files: Files = field(default_factory=dict)
    log: str = ""
    printed: bytes = b""


class ProgressActor:
    """Where runs say how far they are, and hear whether they are to stop; an actor beside the launcher."""

    def __init__(self) -> None:
        self._asked = False
        self._latest: dict[int, Message] = {}
        self._begun: list[tuple[int, str]] = []

    def begin(self, number: int, node: str) -> bool:
        """Notes that a run begins on a node; returns whether it is to stop."""
        self._begun.append((number, node))
        return self._asked

    def tell(self, message: Message) -> bool:
        """Notes how far a run is; returns whether it is to stop."""
        self._latest[message[0]] = message
        return self._asked

    def exchange(self, asked: bool) -> tuple[list[Message], list[tuple[int, str]]]:
        """Notes whether runs are to stop; returns what was noted since the last call, and which runs began where."""
        self._asked = asked
        news, begun = list(self._latest.values()), self._begun
        self._latest, self._begun = {}, []
        return news, begun


class ProgressReporter:
    """Tells the actor how far a run is, without waiting for it: a task that waits gives its cores to the next one."""

    def __init__(self, actor: Any, number: int, name: str) -> None:
        self._actor, self._number, self._name = actor, number, name
        self._answer: Future[bool] | None = None
        self._phase, self._told = "", 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        """See `zapbench.tasks.Progress`."""
        if self._answer is not None and self._answer.done():
            if hear(self._answer):
                raise Stopped
            self._answer = None
        now = time.monotonic()
        if self._answer is None and (phase != self._phase or now - self._told >= TELL_SECONDS):
            self._phase, self._told = phase, now
            self._answer = self._actor.tell.remote((self._number, self._name, phase, done, total)).future()


def hear(answer: "Future[bool]", seconds: float = 0.0) -> bool:
    """Returns the actor's answer; no, where there is none (the actor is lost or late: the run goes on)."""
    from ray.exceptions import RayError

    try:
        return answer.result(timeout=seconds)
    except (RayError, TooLate):
        return False


def sees(out: Path, token: str) -> bool:
    """Returns whether this machine can work in the launcher's output folder.

    A disk whose locks do not end with the process that holds them will not do: a node that dies would leave its run
    locked for ever. Where the system call is missing, the lock's stand-in is a mere file.
    """
    try:
        import fcntl

        with (out / token).open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return file.read() == token
    except (OSError, ImportError):
        return False


def run_on_node(settings: WorkerSettings, number: int, job: Job, files: Files | None, actor: Any) -> Answer | None:
    """Runs the jobs of one run; None where this node does not see the output folder and was given no files."""
    import ray

    _prepare(settings)
    name, node = job.name, ray.get_runtime_context().get_node_id()
    if hear(actor.begin.remote(number, node).future(), seconds=10.0):
        return Answer(Outcome(stopped=True))
    reporter, where = ProgressReporter(actor, number, name), f" on node {node}"
    if sees(settings.out, settings.token):
        log_output(settings.out / LOGS)
        outcome = run_logged(job, settings.out, settings.command, reporter, where)
        return Answer(_renamed(outcome, settings.out, settings.shown))
    if files is None:
        return None
    log = _own_log()
    since = os.fstat(log.fileno()).st_size
    with tempfile.TemporaryDirectory(prefix="zapbench-") as scratch:
        out = Path(scratch)
        write_files(files, out)
        outcome = run_logged(job, out, settings.command, reporter, where)
        if outcome.fatal:  # of this node's own disk, which other nodes do not share
            outcome = Outcome(failed={str(out / job.run.folder): f"{outcome.fatal}{where}"})
        found = changed_files(out, job, files)
    printed = os.pread(log.fileno(), os.fstat(log.fileno()).st_size - since, since)
    return Answer(_renamed(outcome, out, settings.shown), found, log_name(), printed)


def check_on_node(settings: WorkerSettings, jobs: list[Job], files: Files) -> str:
    """Returns in words what does not fit; nothing where all does. `files`: what lies in the output folder."""
    _prepare(settings)
    with tempfile.TemporaryDirectory(prefix="zapbench-") as scratch:
        write_files(files, Path(scratch))
        return reason_to_refuse(jobs, Path(scratch)).replace(scratch, str(settings.shown))


def _prepare(settings: WorkerSettings) -> None:
    for name, value in settings.environment.items():
        os.environ.setdefault(name, value)
    with suppress(OSError):
        os.chdir(settings.folder)
    limit_libraries(settings.threads)
    prepare_process(settings.threads)


@functools.cache
def _own_log() -> IO[bytes]:
    """Sends what this process prints to a file without a name, and returns it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lasts as long as the process
    redirect_output(file.fileno())
    return file


def _renamed(outcome: Outcome, here: Path, there: Path) -> Outcome:
    """Returns an outcome that speaks of the output folder as the person does."""

    def renamed(text: str) -> str:
        return text.replace(str(here), str(there))

    return Outcome(
        failed={renamed(folder): renamed(reason) for folder, reason in outcome.failed.items()},
        diverged={renamed(folder): renamed(reason) for folder, reason in outcome.diverged.items()},
        stopped=outcome.stopped,
        fatal=renamed(outcome.fatal),
    )
