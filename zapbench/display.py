"""What a person sees while a suite runs: one live display, or a line a run where nobody looks."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Message = tuple[int, str, str, int, int]
"""Number and name of a run, its phase, what is done and what there is to do."""


class Show:
    """All runs in one line, and a line for each that is being worked on."""

    def __init__(self, progress: Progress, console: Console, title: str, total: int) -> None:
        self._progress = progress
        self._console = console
        self._total = total
        self._done = 0
        self._all = progress.add_task(title, total=total, note="runs")
        self._lines: dict[int, TaskID] = {}

    def update(self, message: Message) -> None:
        """Shows where a run stands."""
        number, name, phase, done, total = message
        if number not in self._lines:
            self._lines[number] = self._progress.add_task(name, total=total, note=phase)
        self._progress.update(self._lines[number], completed=done, total=max(total, 1), note=phase)

    def finish(self, number: int, name: str, word: str) -> None:
        """Takes a run off the display; says how it ended where that is not simply `done`, or where nobody looks."""
        if number in self._lines:
            self._progress.remove_task(self._lines.pop(number))
        self._done += 1
        self._progress.advance(self._all)
        if not self._console.is_terminal or word != "done":
            self.say(f"{self._done}/{self._total} {name}: {word}")

    def say(self, text: str) -> None:
        """Prints a line above the display."""
        self._console.print(text, markup=False, highlight=False)


@contextmanager
def display(console: Console, title: str, total: int) -> Iterator[Show]:
    """Shows the progress of `total` runs while it lasts."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Show(progress, console, title, total)
