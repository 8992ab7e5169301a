"""A run's files as bytes, for machines that share no disk: what a job resumes from, and what it made."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from zapbench.atomic import write_atomically
from zapbench.leaderboard import contract
from zapbench.tasks import Job

Files = dict[str, bytes]
"""Path below the output folder -> content."""

HEAD_BYTES = 1 << 16
"""First bytes of an event file, which hold its description."""


def files_to_resume(out: Path, job: Job) -> Files:
    """Returns what a job resumes from: its run's event file and checkpoint, and the event files of its trials."""
    own = [path for path in (out / job.run.folder).glob("*") if not path.name.startswith(".")]
    return _read(out, [*own, *_event_files(out, [job])])


def record_heads(out: Path, jobs: list[Job]) -> Files:
    """Returns the first bytes of the event files of jobs: enough to see whether their folders hold other runs."""
    return _read(out, _event_files(out, jobs), HEAD_BYTES)


def changed_files(out: Path, job: Job, before: Files) -> Files:
    """Returns the files that a job made or changed."""
    visible = [path for path in (out / job.run.folder).rglob("*") if not path.name.startswith(".")]
    return {name: content for name, content in _read(out, visible).items() if before.get(name) != content}


def write_files(files: Files, out: Path) -> None:
    """Writes files, each atomically, in the order in which a job makes them.

    The run's event file is first, then its checkpoint, then its trials, so that an interruption leaves the same files
    as an interrupted job.
    """
    for name in sorted(files, key=lambda name: (name.count("/"), not name.endswith(contract.EVENT_FILE), name)):
        write_atomically(out / name, files[name])


def _event_files(out: Path, jobs: list[Job]) -> Iterator[Path]:
    for job in jobs:
        yield out / job.run.folder / contract.EVENT_FILE
        for trial in job.trials:
            yield out / job.run.folder / trial.folder / contract.EVENT_FILE


def _read(out: Path, paths: Iterable[Path], most_bytes: int = -1) -> Files:
    files: Files = {}
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                files[path.relative_to(out).as_posix()] = file.read(most_bytes)
    return files
