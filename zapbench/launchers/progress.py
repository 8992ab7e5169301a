"""Shows the progress of a suite: a live display on a terminal; elsewhere a line per finished job and half minute."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from zapbench.text import duration_text

Message = tuple[int, str, str, int, int]
"""Number and name of a job, its phase, units done and units in total."""

LINE_SECONDS = 30.0
"""Without a terminal, a line at least so often while messages arrive."""

SPEED_SECONDS = 1e9
"""The speed is averaged over these seconds; jobs take minutes, so this covers the complete stage."""


class Display:
    """One line for all jobs (done, running, time left), and one line for each running job."""

    def __init__(self, progress: Progress, console: Console, title: str, total: int) -> None:
        self._progress = progress
        self._console = console
        self._total = total
        self._done = 0
        self._all = progress.add_task(title, total=total, counts="", note="")
        self._lines: dict[int, TaskID] = {}
        self._shares: dict[int, float] = {}
        self._phases: dict[int, tuple[str, int, float]] = {}
        self._said = time.monotonic()
        self._refresh()

    def update(self, message: Message) -> None:
        """Shows the progress of a job."""
        number, name, phase, done, total = message
        if number not in self._lines:
            shown = shortened(name, max(20, self._console.width - 66))
            self._lines[number] = self._progress.add_task(shown, total=total, counts="", note=phase)
        counts = f"{done}/{total}"
        self._progress.update(self._lines[number], completed=done, total=max(total, 1), counts=counts, note=phase)
        if phase == "pre-training":
            self._shares[number] = done / max(total, 1)
        self._refresh()
        if not self._console.is_terminal:
            self._say_sometimes(message)

    def _say_sometimes(self, message: Message) -> None:
        """Prints how far a job is, unless a line was printed a short time ago."""
        number, name, phase, done, total = message
        now = time.monotonic()
        if self._phases.get(number, ("", 0, 0.0))[0] != phase:
            self._phases[number] = (phase, done, now)
        if now - self._said < LINE_SECONDS:
            return
        _, first, began = self._phases[number]
        left = ""
        if done > first:
            left = f", {duration_text((now - began) / (done - first) * (total - done))} left"
        share = f"{100 * done / max(total, 1):.0f}%"
        self.say(f"{self._done}/{self._total} {name}: {phase} {done:,}/{total:,} ({share}{left})")

    def finish(self, number: int, name: str, outcome: str) -> None:
        """Removes a job that ended; prints its outcome if that is not `done` or there is no terminal."""
        self.drop(number)
        self._done += 1
        self._refresh()
        if not self._console.is_terminal or outcome != "done":
            self.say(f"{self._done}/{self._total} {name}: {outcome}")

    def drop(self, number: int) -> None:
        """Removes a job that will run again from the display."""
        if number in self._lines:
            self._progress.remove_task(self._lines.pop(number))
        self._shares.pop(number, None)

    def say(self, text: str) -> None:
        """Prints a line above the display."""
        self._said = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        counts = f"{self._done}/{self._total} runs"
        running = f"{len(self._lines)} running"
        completed = self._done + sum(self._shares.values())
        self._progress.update(self._all, completed=completed, counts=counts, note=running)


def shortened(name: str, width: int) -> str:
    """Returns a name in at most `width` characters: bar, counts and time left need the rest of the line.

    >>> shortened("glyphs/asb_zap/ASB.inner_lr=0.03/seed=0", 24)
    'glyphs/asb_…=0.03/seed=0'
    """
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - 1 - end]}…{name[-end:]}"


@contextmanager
def display(console: Console, title: str, total: int) -> Iterator[Display]:
    """Shows the progress of `total` jobs while the block runs."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[counts]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        speed_estimate_period=SPEED_SECONDS,
    ) as progress:
        yield Display(progress, console, title, total)
