"""The scheduling loop of every launcher that runs several jobs at once."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from zapbench.launchers.progress import Display
from zapbench.tasks import Job, Outcome

TRIES = 2
"""How often a job runs at most if it fails."""


class Workers(Protocol):
    """What jobs are submitted to: processes of this machine, or nodes of a cluster."""

    def capacity(self) -> int:
        """Returns how many jobs may be submitted at once."""

    def submit(self, number: int, job: Job) -> Future[Any]:
        """Submits a job."""

    def outcome_of(self, job: Job, number: int, future: Future[Any]) -> Outcome | None:
        """Returns how a job ended; None if it must be submitted again, which does not count as a try."""

    def recover(self) -> bool:
        """Replaces workers that died; returns whether all running jobs died with them."""


def run_concurrently(
    workers: Workers, jobs: list[Job], display: Display, stopping: Callable[[], bool]
) -> Iterator[Outcome]:
    """Runs jobs and yields the outcome of each, in the order in which they end.

    Args:
        workers: run the jobs.
        jobs: the jobs to run.
        display: shows progress.
        stopping: returns whether a stop was requested.
    """
    schedule = _Schedule(workers, jobs, display, waiting=list(range(len(jobs))))
    while schedule.running or (schedule.waiting and not stopping()):
        schedule.submit(stopping)
        ended, _ = wait(schedule.running, return_when=FIRST_COMPLETED)
        for future in ended:
            outcome = schedule.collect(future)
            if outcome is not None:
                yield outcome
                if outcome.fatal:
                    return
        schedule.recover()
    if schedule.waiting:
        yield Outcome(stopped=True)


@dataclass
class _Schedule:
    """The jobs, by their numbers, that wait and that run."""

    workers: Workers
    jobs: list[Job]
    display: Display
    waiting: list[int]
    running: dict[Future[Any], int] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)

    def submit(self, stopping: Callable[[], bool]) -> None:
        """Submits waiting jobs until the workers are busy or a stop was requested."""
        capacity = self.workers.capacity()
        while self.waiting and len(self.running) < capacity and not stopping():
            number = self.waiting.pop(0)
            self.tries[number] += 1
            self.running[self.workers.submit(number, self.jobs[number])] = number

    def collect(self, future: Future[Any]) -> Outcome | None:
        """Returns the outcome of a job that ended; None if it waits again."""
        number = self.running.pop(future)
        job = self.jobs[number]
        outcome = self.workers.outcome_of(job, number, future)
        if outcome is None:
            self.tries[number] -= 1
            self.waiting.insert(0, number)
        elif outcome.failed and self.tries[number] < TRIES:
            self.display.say(f"{job.name}: {outcome}; trying once more")
            self.display.drop(number)
            self.waiting.insert(0, number)
            return None
        else:
            self.display.finish(number, job.name, str(outcome))
        return outcome

    def recover(self) -> None:
        """Puts running jobs back if they died with their workers."""
        if self.workers.recover():
            for number in self.running.values():
                self.waiting.insert(0, number)
                self.display.drop(number)
            self.running.clear()
