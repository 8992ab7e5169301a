"""The loop of engines that run jobs at once, with a crew that ends as it is told."""

import io
import threading
from concurrent.futures import Future

from rich.console import Console

from zapbench.launchers.progress import display
from zapbench.launchers.schedule import run_side_by_side
from zapbench.tasks import Outcome, RunSpec

FAILED = Outcome(failed={"folder": "no such luck"})


class Crew:
    """Ends each hand-over of a job as its list says, the last word again and again."""

    def __init__(self, *words, room=1, loses=()):
        self.words, self._room, self.loses = words, room, list(loses)
        self.handed = []

    def room(self):
        return self._room

    def submit(self, number, job):
        own = self.words[min(number, len(self.words) - 1)]
        future = Future()
        future.set_result(own[min(self.handed.count(number), len(own) - 1)])
        self.handed.append(number)
        return future

    def outcome_of(self, number, job, future):
        return future.result()

    def recover(self):
        return bool(self.loses) and self.loses.pop(0)


def run(crew, jobs=1, asked=lambda: False):
    file = io.StringIO()
    console = Console(file=file, width=200)
    work = [[(RunSpec("glyphs", "asb", seed), ())] for seed in range(jobs)]
    with display(console, "", jobs) as show:
        outcomes = list(run_side_by_side(crew, work, show, asked))
    return outcomes, file.getvalue()


def test_a_job_that_failed_is_tried_once_more_and_then_reported():
    crew = Crew([FAILED])
    outcomes, said = run(crew)
    assert crew.handed == [0, 0]
    assert outcomes == [FAILED]
    assert said.count("trying once more") == 1


def test_a_job_that_has_to_be_handed_over_again_has_both_its_tries_still():
    crew = Crew([None, None, FAILED, Outcome()])
    outcomes, _ = run(crew)
    assert crew.handed == [0, 0, 0, 0]
    assert outcomes == [Outcome()]


def test_what_ends_everything_hands_nothing_over_any_more():
    crew = Crew([Outcome(fatal="the disk is full")], [Outcome()])
    outcomes, _ = run(crew, jobs=3)
    assert crew.handed == [0]
    assert [outcome.fatal for outcome in outcomes] == ["the disk is full"]


def test_after_a_word_to_stop_nothing_is_handed_over_and_the_rest_is_called_stopped():
    asked = threading.Event()

    class Stopping(Crew):
        def outcome_of(self, number, job, future):
            asked.set()
            return future.result()

    crew = Stopping([Outcome()])
    outcomes, _ = run(crew, jobs=3, asked=asked.is_set)
    assert crew.handed == [0]
    assert outcomes == [Outcome(), Outcome(stopped=True)]


def test_a_crew_that_loses_all_that_runs_is_handed_it_again():
    class Slow(Crew):
        def submit(self, number, job):
            future = super().submit(number, job)
            return Future() if number == 1 and self.handed.count(1) == 1 else future

    crew = Slow([Outcome()], room=2, loses=[True])
    outcomes, _ = run(crew, jobs=2)
    assert sorted(crew.handed) == [0, 1, 1]
    assert outcomes == [Outcome(), Outcome()]
