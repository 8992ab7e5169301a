"""The scheduling loop, with workers whose outcomes are given."""

import io
import threading
from concurrent.futures import Future

from rich.console import Console

from zapbench.launchers.progress import display
from zapbench.launchers.schedule import run_concurrently
from zapbench.tasks import Job, Outcome, RunSpec

FAILED = Outcome(failed={"folder": "broken"})


class FakeWorkers:
    """Workers that end each submission of a job with the next outcome of its list; the last one is repeated."""

    def __init__(self, *outcomes, capacity=1, deaths=()):
        self.outcomes, self._capacity, self.deaths = outcomes, capacity, list(deaths)
        self.submitted = []

    def capacity(self):
        return self._capacity

    def submit(self, number, job):
        own = self.outcomes[min(number, len(self.outcomes) - 1)]
        future = Future()
        future.set_result(own[min(self.submitted.count(number), len(own) - 1)])
        self.submitted.append(number)
        return future

    def outcome_of(self, job, number, future):
        return future.result()

    def recover(self):
        return bool(self.deaths) and self.deaths.pop(0)


def run(workers, jobs=1, stopping=lambda: False):
    file = io.StringIO()
    console = Console(file=file, width=200)
    work = [Job(RunSpec("glyphs", "asb", seed)) for seed in range(jobs)]
    with display(console, "", jobs) as show:
        outcomes = list(run_concurrently(workers, work, show, stopping))
    return outcomes, file.getvalue()


def test_a_job_that_failed_is_tried_once_more_and_then_reported():
    workers = FakeWorkers([FAILED])
    outcomes, said = run(workers)
    assert workers.submitted == [0, 0]
    assert outcomes == [FAILED]
    assert said.count("trying once more") == 1


def test_a_submission_without_an_outcome_does_not_count_as_a_try():
    workers = FakeWorkers([None, None, FAILED, Outcome()])
    outcomes, _ = run(workers)
    assert workers.submitted == [0, 0, 0, 0]
    assert outcomes == [Outcome()]


def test_nothing_is_submitted_after_a_fatal_outcome():
    workers = FakeWorkers([Outcome(fatal="the disk is full")], [Outcome()])
    outcomes, _ = run(workers, jobs=3)
    assert workers.submitted == [0]
    assert [outcome.fatal for outcome in outcomes] == ["the disk is full"]


def test_nothing_is_submitted_after_a_stop_and_the_other_jobs_are_reported_as_stopped():
    asked = threading.Event()

    class Stopping(FakeWorkers):
        def outcome_of(self, job, number, future):
            asked.set()
            return future.result()

    workers = Stopping([Outcome()])
    outcomes, _ = run(workers, jobs=3, stopping=asked.is_set)
    assert workers.submitted == [0]
    assert outcomes == [Outcome(), Outcome(stopped=True)]


def test_jobs_that_died_with_their_workers_are_submitted_again():
    class Slow(FakeWorkers):
        def submit(self, number, job):
            future = super().submit(number, job)
            return Future() if number == 1 and self.submitted.count(1) == 1 else future

    workers = Slow([Outcome()], capacity=2, deaths=[True])
    outcomes, _ = run(workers, jobs=2)
    assert sorted(workers.submitted) == [0, 1, 1]
    assert outcomes == [Outcome(), Outcome()]
