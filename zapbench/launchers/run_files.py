"""A run's files as bytes, for machines that share no disk: what a job goes on from, and what it made."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from zapbench.atomic import write_whole
from zapbench.launchers.job import Work
from zapbench.leaderboard import contract

Parcel = dict[str, bytes]
"""Path below the output folder -> content."""

HEAD = 1 << 16
"""Bytes of an event file that hold what it is about: its description is the first thing in it."""


def belongings(out: Path, job: list[Work]) -> Parcel:
    """Returns what a job goes on from: its run's record and checkpoint, and earlier records of its trials."""
    own = [path for path in (out / job[0][0].folder).glob("*") if not path.name.startswith(".")]
    return _pack(out, [*own, *_records(out, job)])


def heads(out: Path, jobs: list[Work]) -> Parcel:
    """Returns the beginnings of all records of some jobs: enough to see whether other work lies in their place."""
    return _pack(out, _records(out, jobs), HEAD)


def made(out: Path, job: list[Work], before: Parcel) -> Parcel:
    """Returns what a job has made or changed."""
    visible = [path for path in (out / job[0][0].folder).rglob("*") if not path.name.startswith(".")]
    return {name: content for name, content in _pack(out, visible).items() if before.get(name) != content}


def unpack(parcel: Parcel, out: Path) -> None:
    """Writes files, each whole or not at all.

    A run's record comes first, then its checkpoint, then its trials: the order in which a job makes them, so that an
    end in between leaves what a job's own end leaves.
    """
    for name in sorted(parcel, key=lambda name: (name.count("/"), not name.endswith(contract.EVENT_FILE), name)):
        write_whole(out / name, parcel[name])


def _records(out: Path, jobs: list[Work]) -> Iterator[Path]:
    for run, trials in jobs:
        yield out / run.folder / contract.EVENT_FILE
        for trial in trials:
            yield out / run.folder / trial.folder / contract.EVENT_FILE


def _pack(out: Path, paths: Iterable[Path], most: int = -1) -> Parcel:
    parcel: Parcel = {}
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                parcel[path.relative_to(out).as_posix()] = file.read(most)
    return parcel
