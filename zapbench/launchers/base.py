"""The interface of a launcher, which decides where the jobs of a suite run."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from zapbench.launchers.progress import Display
from zapbench.tasks import Job, Outcome, Progress, silent


class Launcher(ABC):
    """Checks and runs the jobs of a suite.

    A job that fails is tried once more; if it fails again, the other jobs still run. A fatal outcome (a full disk, no
    permission) ends the run. `tests/launchers/test_contract.py` tests every launcher against this interface.

    Args:
        out: output folder.
        command: the command line, which descriptions record.
    """

    def __init__(self, out: Path, command: str) -> None:
        self.out = out
        self.command = command

    @abstractmethod
    def check(self, jobs: list[Job], progress: Progress = silent) -> None:
        """Checks the configuration of every job without training or writing anything; called once, before `run`.

        Args:
            jobs: all jobs.
            progress: called as the check advances.

        Raises:
            ValueError: a configuration cannot be used, or a job's folder holds another run.
        """

    @abstractmethod
    def run(self, jobs: list[Job], display: Display) -> Iterator[Outcome]:
        """Runs jobs and yields the outcome of each, in the order in which they end; called once per stage of a suite.

        After a fatal outcome no further job starts and nothing more is yielded. After `stop`, running jobs save a
        checkpoint and end with `stopped`; jobs that have not started are reported together by one such outcome.
        """

    @abstractmethod
    def stop(self) -> None:
        """Asks every job to stop at its next call of `progress`; may be called from a signal handler, during `run`."""

    def close(self) -> None:  # noqa: B027 - a launcher may hold nothing
        """Releases processes and connections; called at the end, also after an error. A second call does nothing."""
