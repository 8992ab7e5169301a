"""The progress of a suite: one live display on a terminal, or a line per finished job elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Message = tuple[int, str, str, int, int]
"""Number and name of a job, its phase, what is done and what there is to do."""

WHOLE_STAGE = 1e9
"""Seconds that the time left is estimated from: a job takes minutes, so the whole stage."""


class Display:
    """One line for all jobs (done, running, time left), and a line for each job that is running."""

    def __init__(self, progress: Progress, console: Console, title: str, total: int) -> None:
        self._progress = progress
        self._console = console
        self._total = total
        self._done = 0
        self._all = progress.add_task(title, total=total, counts="", note="")
        self._lines: dict[int, TaskID] = {}
        self._parts: dict[int, float] = {}
        self._refresh()

    def update(self, message: Message) -> None:
        """Shows how far a job is."""
        number, name, phase, done, total = message
        if number not in self._lines:
            self._lines[number] = self._progress.add_task(name, total=total, counts="", note=phase)
        counts = f"{done}/{total}"
        self._progress.update(self._lines[number], completed=done, total=max(total, 1), counts=counts, note=phase)
        if phase == "pre-training":
            self._parts[number] = done / max(total, 1)
        self._refresh()

    def finish(self, number: int, name: str, word: str) -> None:
        """Removes a job from the display; prints how it ended where that is not `done`, or there is no terminal."""
        self.drop(number)
        self._done += 1
        self._refresh()
        if not self._console.is_terminal or word != "done":
            self.say(f"{self._done}/{self._total} {name}: {word}")

    def drop(self, number: int) -> None:
        """Removes a job that has not ended from the display."""
        if number in self._lines:
            self._progress.remove_task(self._lines.pop(number))
        self._parts.pop(number, None)

    def say(self, text: str) -> None:
        """Prints a line above the display."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        counts = f"{self._done}/{self._total} runs"
        running = f"{len(self._lines)} running"
        self._progress.update(self._all, completed=self._done + sum(self._parts.values()), counts=counts, note=running)


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
    shown = console.is_terminal
    with Progress(
        *columns, console=console, transient=True, disable=not shown, speed_estimate_period=WHOLE_STAGE
    ) as progress:
        yield Display(progress, console, title, total)
