"""Estimates how long jobs still take, from how long their phases and the finished jobs took."""

import math
import time
from dataclasses import dataclass, field

from zapbench.text import duration_text


@dataclass
class _Running:
    """A running job and its phase.

    Attributes:
        began: when the job was first seen.
        phase: its name.
        first: units that were done when the phase was first seen (a resumed phase does not start at 0).
        since: when the phase was first seen.
        done: units done.
        total: units in total.
        at: when `done` was seen.
    """

    began: float
    phase: str
    first: int
    since: float
    done: int
    total: int
    at: float

    def left(self, now: float) -> float:
        """Returns the seconds left of the phase; NaN if nothing is known yet, or it takes longer than was estimated."""
        if self.done <= self.first:
            return math.nan
        if self.done >= self.total:
            return 0.0
        seconds = (self.at - self.since) / (self.done - self.first) * (self.total - self.done)
        left = seconds - (now - self.at)
        return left if left > 0 else math.nan


@dataclass
class TimeLeft:
    """The time left of some jobs, several of which run at once.

    Attributes:
        total: number of jobs.
    """

    total: int
    _running: dict[int, _Running] = field(default_factory=dict)
    _durations: list[float] = field(default_factory=list)

    def update(self, number: int, phase: str, done: int, total: int) -> None:
        """Takes in the progress of a job."""
        now = time.monotonic()
        job = self._running.get(number)
        if job is None or job.phase != phase or done < job.done:
            began = now if job is None else job.began
            self._running[number] = _Running(began, phase, done, now, done, total, now)
        else:
            job.done, job.total, job.at = done, total, now

    def finish(self, number: int) -> None:
        """Takes in that a job ended."""
        job = self._running.get(number)
        self._durations.append(time.monotonic() - job.began if job else 0.0)

    def drop(self, number: int) -> None:
        """Forgets a job that no longer runs."""
        self._running.pop(number, None)

    def share(self) -> float:
        """Returns how many jobs the running ones amount to; each counts as the share of its pre-training."""
        return sum(job.done / max(job.total, 1) if job.phase == "pre-training" else 1.0 for job in self._jobs())

    def text_of(self, number: int) -> str:
        """Returns the time left of a job's phase; empty if nothing is known yet."""
        job = self._running.get(number)
        left = math.nan if job is None else job.left(time.monotonic())
        return "" if math.isnan(left) else duration_text(left)

    def text(self) -> str:
        """Returns the time left of all jobs, `over ...` before a job ended; empty if nothing is known yet."""
        seconds = self.seconds()
        if math.isnan(seconds):
            return ""
        return duration_text(seconds) if self._durations else f"over {duration_text(seconds)}"

    def seconds(self) -> float:
        """Returns the seconds left of all jobs, never less than those of a running one; NaN if that is not known."""
        now, running = time.monotonic(), self._jobs()
        known = [left for job in running if not math.isnan(left := job.left(now))]
        longest = max(known, default=math.nan)
        if not self._durations:
            return longest
        mean = sum(self._durations) / len(self._durations)
        waiting = self.total - len(self._durations) - len(running)
        work = waiting * mean + sum(max(0.0, mean - (now - job.began)) for job in running)
        if work == 0 and running and not known:  # all of them take longer than the others did
            return math.nan
        return max([work / max(1, len(running)), *known])

    def _jobs(self) -> list[_Running]:
        """Returns the running jobs as they are now: a thread that draws asks while another takes in messages."""
        return list(self._running.values())
