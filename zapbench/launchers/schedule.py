"""The loop of every engine that runs several jobs at once, wherever they run."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol

from zapbench.launchers.job import Work, name_of, word_of
from zapbench.launchers.progress import Show
from zapbench.tasks import Outcome

TRIES = 2


class Crew(Protocol):
    """What runs jobs: worker processes here, or tasks on the nodes of a cluster."""

    def room(self) -> int:
        """Returns how many jobs to hand over at once."""

    def submit(self, number: int, job: list[Work]) -> Future[Any]:
        """Hands a job over."""

    def outcome_of(self, number: int, job: list[Work], future: Future[Any]) -> Outcome | None:
        """Returns how a job ended; None where it has to be handed over again, which is no new try."""

    def recover(self) -> bool:
        """Mends what the last jobs broke; returns whether that lost all that were running."""


def run_side_by_side(crew: Crew, jobs: list[list[Work]], show: Show, asked: Callable[[], bool]) -> Iterator[Outcome]:
    """Runs jobs, each of one run, and yields how each ended, in the order in which they do.

    Args:
        crew: runs them.
        jobs: what is to be done.
        show: where progress is shown.
        asked: whether somebody asked for a clean end.
    """
    waiting = list(enumerate(jobs))
    tries = dict.fromkeys(range(len(jobs)), 0)
    running: dict[Future[Any], int] = {}
    while running or (waiting and not asked()):
        room = crew.room()
        while waiting and len(running) < room and not asked():
            number, job = waiting.pop(0)
            tries[number] += 1
            running[crew.submit(number, job)] = number
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            number = running.pop(future)
            name = name_of(jobs[number])
            outcome = crew.outcome_of(number, jobs[number], future)
            if outcome is None:
                tries[number] -= 1
                waiting.insert(0, (number, jobs[number]))
                continue
            if outcome.failed and tries[number] < TRIES:
                show.say(f"{name}: {word_of(outcome)}; trying once more")
                show.drop(number)
                waiting.insert(0, (number, jobs[number]))
                continue
            show.finish(number, name, word_of(outcome))
            yield outcome
            if outcome.fatal:
                return
        if crew.recover():
            for number in running.values():
                waiting.insert(0, (number, jobs[number]))
                show.drop(number)
            running.clear()
    if waiting:
        yield Outcome(stopped=True)
