"""The loop of every launcher that runs several jobs at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol

from zapbench.launchers.progress import Display
from zapbench.tasks import Job, Outcome

TRIES = 2
"""How often a job is run that fails."""


class Workers(Protocol):
    """What jobs are submitted to: processes of this machine, or nodes of a cluster."""

    def capacity(self) -> int:
        """Returns how many jobs to submit at once."""

    def submit(self, number: int, job: Job) -> Future[Any]:
        """Submits a job."""

    def outcome_of(self, job: Job, number: int, future: Future[Any]) -> Outcome | None:
        """Returns how a job ended; None where it has to be submitted again, which does not count as a try."""

    def recover(self) -> bool:
        """Replaces workers that were lost; returns whether all running jobs were lost with them."""


def run_concurrently(
    workers: Workers, jobs: list[Job], display: Display, stopping: Callable[[], bool]
) -> Iterator[Outcome]:
    """Runs jobs and yields how each ended, in the order in which they end.

    Args:
        workers: run the jobs.
        jobs: what is to be done.
        display: where progress is shown.
        stopping: returns whether a person asked to stop.
    """
    waiting = list(enumerate(jobs))
    tries = dict.fromkeys(range(len(jobs)), 0)
    running: dict[Future[Any], int] = {}
    while running or (waiting and not stopping()):
        capacity = workers.capacity()
        while waiting and len(running) < capacity and not stopping():
            number, job = waiting.pop(0)
            tries[number] += 1
            running[workers.submit(number, job)] = number
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            number = running.pop(future)
            job = jobs[number]
            outcome = workers.outcome_of(job, number, future)
            if outcome is None:
                tries[number] -= 1
                waiting.insert(0, (number, job))
                continue
            if outcome.failed and tries[number] < TRIES:
                display.say(f"{job.name}: {outcome}; trying once more")
                display.drop(number)
                waiting.insert(0, (number, job))
                continue
            display.finish(number, job.name, str(outcome))
            yield outcome
            if outcome.fatal:
                return
        if workers.recover():
            for number in running.values():
                waiting.insert(0, (number, jobs[number]))
                display.drop(number)
            running.clear()
    if waiting:
        yield Outcome(stopped=True)
