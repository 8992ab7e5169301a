"""Packs the finished logs of a suite as published results, `leaderboard/results/NAME/logs.tar.xz`.

    python docs/archive.py NAME LOGDIR --without "$PWD/"

What the archive already holds stays in it: a log that differs from one of the same name there is refused. Of LOGDIR
it takes whole event files of tasks that finished or diverged, and names the others. Texts of the record, such as the
command, lose what `--without` names: where a folder is on one's machine is of no use to others. The same logs give the
same bytes.
"""

import argparse
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tensorboard.summary.writer.record_writer import RecordWriter

from zapbench.atomic import write_atomically
from zapbench.leaderboard import contract
from zapbench.leaderboard.published import LOGS, RESULTS
from zapbench.leaderboard.read.events import Tail, read_events
from zapbench.leaderboard.read.parse import status_of


def without(path: Path, prefix: str) -> bytes:
    """Returns an event file whose texts lack a prefix.

    Raises:
        ValueError: a record is damaged, or too long to be read.
    """
    out, tail = io.BytesIO(), Tail()
    records = RecordWriter(out)
    for event in read_events(path, tail):
        for value in event.summary.value:
            if prefix and value.tensor.string_val:
                texts = value.tensor.string_val
                texts[:] = [text.replace(prefix.encode(), b"") for text in texts]
        records.write(event.SerializeToString())
    if tail.damage or tail.skipped:
        raise ValueError(f"{path}: {tail.damage or 'has a record that is too long'}")
    return out.getvalue()


def archived(archive: Path) -> dict[str, bytes]:
    """Returns name -> content of the files of an archive; none where there is no archive."""
    if not archive.exists():
        return {}
    with tarfile.open(archive) as opened:
        files = [(member.name, opened.extractfile(member)) for member in opened.getmembers()]
        return {name: file.read() for name, file in files if file is not None}


def packed(files: dict[str, bytes]) -> bytes:
    """Returns an archive of files, by name; it has no dates and no owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz", preset=9) as archive:
        for name in sorted({*files, *folders(files)}):
            member = tarfile.TarInfo(name)
            if name in files:
                member.size = len(files[name])
                archive.addfile(member, io.BytesIO(files[name]))
            else:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
    return out.getvalue()


def folders(files: dict[str, bytes]) -> Iterator[str]:
    """Yields every folder above files."""
    for name in files:
        yield from (str(folder) for folder in Path(name).parents if folder.name)


def main() -> None:
    """Packs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME", help="of the folder in leaderboard/results")
    parser.add_argument("logdir", metavar="LOGDIR", type=Path, help="an output folder of `zapbench suite`")
    parser.add_argument("--without", metavar="TEXT", default="", help="what recorded texts lose")
    options = parser.parse_args()
    archive = RESULTS / options.name / LOGS
    files, new, unfinished = archived(archive), 0, 0
    for path in sorted(options.logdir.rglob(contract.EVENT_FILE)):
        name = path.relative_to(options.logdir).as_posix()
        if status_of(path) not in contract.ENDED:
            print(f"not packed, as it is not finished: {name}", file=sys.stderr)
            unfinished += 1
            continue
        try:
            content = without(path, options.without)
        except ValueError as error:
            parser.error(str(error))
        if files.setdefault(name, content) != content:
            parser.error(f"{archive} holds another {name}; to replace it, delete the archive")
        new += 1
    if not new:
        parser.error(f"there is no log of a finished task in {options.logdir}")
    archive.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(archive, packed(files))
    print(f"{archive}: {len(files)} event files, {new} of them from {options.logdir}; {unfinished} not packed")


if __name__ == "__main__":
    main()
