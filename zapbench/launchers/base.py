"""What a launcher is: where the tasks of a suite run."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from zapbench.launchers.progress import Display
from zapbench.tasks import Job, Outcome


class Launcher(ABC):
    """Checks and runs the jobs of a suite.

    An error ends its job, not the suite; a job that failed is tried once more. A full disk or a missing permission ends
    the suite.

    Args:
        out: output folder.
        command: the command line, for descriptions.
    """

    def __init__(self, out: Path, command: str) -> None:
        self.out = out
        self.command = command

    @abstractmethod
    def check(self, jobs: list[Job]) -> None:
        """Makes everything that the jobs will use, and trains nothing; called once, before `run`.

        Raises:
            ValueError: something does not fit.
        """

    @abstractmethod
    def run(self, jobs: list[Job], display: Display) -> Iterator[Outcome]:
        """Runs jobs and yields how each ended, in the order in which they end; called once for each stage of a suite.

        Stops after the first job that ended with `fatal`, or after `stop` was called.
        """

    @abstractmethod
    def stop(self) -> None:
        """Asks every job to stop at its next point or trial; may be called from a signal handler, while `run` runs."""

    def close(self) -> None:
        """Releases what the launcher holds; called once, at the end, also after an error."""
