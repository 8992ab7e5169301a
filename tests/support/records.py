"""The records of an output folder without what differs between two runs of the same tasks (times, memory, machine)."""

from pathlib import Path

from zapbench.leaderboard.read.parse import read_file


def records(out: Path) -> dict[str, tuple[object, ...]]:
    """Returns folder -> (problem, closing, accuracy per class, stable description, curves without costs)."""
    found = {}
    for path in sorted(out.rglob("*tfevents*")):
        file = read_file(path)
        assert file.description is not None, file.problem
        curves = {tag: curve for tag, curve in file.curves.items() if not tag.startswith("cost/")}
        about = file.description.stable()
        found[path.parent.relative_to(out).as_posix()] = (
            file.problem,
            file.closing,
            file.class_accuracy,
            about,
            curves,
        )
    return found
