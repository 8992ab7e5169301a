"""Shows the progress of a suite: a live display on a terminal; elsewhere a line per finished job and half minute."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.progress import Task as ProgressTask
from rich.table import Column
from rich.text import Text

from zapbench import tasks
from zapbench.launchers.time_left import TimeLeft
from zapbench.text import duration_text

Message = tuple[int, str, str, int, int]
"""Number and name of a job, its phase, units done and units in total."""

LINE_SECONDS = 30.0
"""Without a terminal, a line at least so often."""

BESIDE_NAME = 58
"""Columns of a line for everything but the name: bar, counts, phase and time left."""

PHASE = 16
"""Columns of a line for the phase of a job."""


class _TimeLeftColumn(ProgressColumn):
    """The time left of a line: of one job, or of all jobs."""

    def render(self, task: ProgressTask) -> Text:
        """See `ProgressColumn.render`."""
        shown: TimeLeft = task.fields["left"]
        number: int | None = task.fields["number"]
        return Text(shown.text() if number is None else shown.text_of(number))


class Display:
    """One line for all jobs (done, running, time left), and one line for each running job.

    Args:
        progress: draws the lines on a terminal.
        console: prints lines.
        title: names the phase of the suite.
        total: number of jobs.
    """

    def __init__(self, progress: Progress, console: Console, title: str, total: int) -> None:
        self._progress = progress
        self._console = console
        self._title = title
        self._total = total
        self._ended: set[int] = set()
        self._left = TimeLeft(total)
        self._all = progress.add_task(title, total=total, counts="", note="", left=self._left, number=None)
        self._lines: dict[int, TaskID] = {}
        self._messages: dict[int, Message] = {}
        self._said = time.monotonic()
        self._refresh()

    def update(self, message: Message) -> None:
        """Shows the progress of a job; a message that arrives after the job ended is ignored."""
        number, name, phase, done, total = message
        if number in self._ended:
            return
        if number not in self._lines:
            shown = shortened(name, max(12, self._console.width - BESIDE_NAME))
            self._lines[number] = self._progress.add_task(
                shown, total=total, counts="", note="", left=self._left, number=number
            )
        self._left.update(number, phase, done, total)
        self._messages[number] = message
        counts, note = f"{done}/{total}", shortened(phase.removeprefix("transfer "), PHASE)
        self._progress.update(self._lines[number], completed=done, total=max(total, 1), counts=counts, note=note)
        self._refresh()
        self.say_sometimes()

    def say_sometimes(self) -> None:
        """Prints how far the jobs are, unless there is a terminal or a line was printed a short time ago."""
        if self._console.is_terminal or time.monotonic() - self._said < LINE_SECONDS:
            return
        left = self._left.text()
        self.say(f"{self._counts()}, {len(self._lines)} running{f', {left} left' if left else ''}")
        for number, (_, name, phase, done, total) in list(self._messages.items()):
            left = self._left.text_of(number)
            share = f"{100 * done / max(total, 1):.0f}%"
            self.say(f"  {name}: {phase} {done:,}/{total:,} ({share}{f', {left} left' if left else ''})")

    def finish(self, number: int, name: str, outcome: str) -> None:
        """Removes a job that ended; prints its outcome if that is not `done` or there is no terminal."""
        self._ended.add(number)
        self._left.finish(number)
        self.drop(number)
        self._refresh()
        if not self._console.is_terminal or outcome != "done":
            self.say(f"{self._counts()}; {name}: {outcome}")

    def drop(self, number: int) -> None:
        """Removes a job that will run again from the display."""
        if number in self._lines:
            self._progress.remove_task(self._lines.pop(number))
        self._messages.pop(number, None)
        self._left.drop(number)

    def say(self, text: str) -> None:
        """Prints a line above the display."""
        self._said = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _counts(self) -> str:
        return f"{self._title}: {len(self._ended)}/{self._total} runs"

    def _refresh(self) -> None:
        counts = f"{len(self._ended)}/{self._total} runs"
        completed = len(self._ended) + self._left.share()
        self._progress.update(self._all, completed=completed, counts=counts, note=f"{len(self._lines)} running")


def shortened(name: str, width: int) -> str:
    """Returns a name in at most `width` characters: bar, counts and time left need the rest of the line.

    >>> shortened("glyphs/asb_zap/ASB.inner_lr=0.03/seed=0", 24)
    'glyphs/asb_…=0.03/seed=0'
    """
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - 1 - end]}…{name[-end:]}"


def columns() -> tuple[ProgressColumn, ...]:
    """Returns the columns of the display; none is cut where names have at most their share of the line."""
    whole = Column(no_wrap=True)
    return (
        TextColumn("{task.description}", markup=False, table_column=whole),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[counts]}", markup=False, table_column=whole),
        TextColumn("{task.fields[note]}", markup=False, table_column=whole),
        _TimeLeftColumn(table_column=whole),
    )


@contextmanager
def display(console: Console, title: str, total: int) -> Iterator[Display]:
    """Shows the progress of `total` jobs while the block runs."""
    with Progress(*columns(), console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = Display(progress, console, title, total)
        with repeatedly(shown.say_sometimes):
            yield shown


@contextmanager
def following(console: Console, title: str, name: str) -> Iterator[tasks.Progress]:
    """Shows the progress of one job while the block runs.

    Args:
        console: where it is shown.
        title: what is done.
        name: of the job.

    Yields:
        A function that is called with a phase, units done and units in total.
    """
    with display(console, title, 1) as shown:

        def show(phase: str, done: int, total: int) -> None:
            shown.update((0, name, phase, done, total))

        yield show


@contextmanager
def waiting(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """Says what a person waits for: a spinner on a terminal; elsewhere a line every half minute, none before.

    Yields:
        A function that is called with a text as soon as something else is waited for.
    """
    if console.is_terminal:
        with console.status(Text(what)) as status:
            yield lambda now: status.update(Text(now))
        return
    began, current = time.monotonic(), what

    def say() -> None:
        since = duration_text(time.monotonic() - began)
        console.print(f"{current} (since {since})", markup=False, highlight=False, soft_wrap=True)

    def change(now: str) -> None:
        nonlocal current
        current = now

    with repeatedly(say, LINE_SECONDS):
        yield change


@contextmanager
def repeatedly(call: Callable[[], None], seconds: float = 1.0) -> Iterator[None]:
    """Calls a function at an interval, in another thread, while the block runs."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(seconds):
            call()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
