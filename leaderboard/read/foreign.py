"""A folder of event files that zapbench did not write -> its curves. One folder is one run, as TensorBoard has it."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog

from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.read import hyperparameters
from zapbench.leaderboard.read.events import LONGEST_RECORD, Tail, numbers_of, read_events
from zapbench.leaderboard.read.parse import LONGEST_REASON, MOST_TAGS, EventFile
from zapbench.text import one_line

LONGEST_TAG = 1000
"""Letters of a tag that may be suggested: names are searched in it."""


def read_merged(paths: Sequence[Path], wanted: Container[str]) -> EventFile:
    """Reads the files of a folder as one run: in the order they were begun, the later writing wins a step.

    A job that is restarted begins a new file. The end of an earlier file may be torn; the run is unfinished where its
    last file is, and not used where any is damaged.

    Args:
        paths: the files.
        wanted: the tags whose curves are kept.
    """
    found = EventFile(paths[0])
    points: dict[str, dict[int, float]] = {}
    others: set[str] = set()
    ended, damaged, skipped = "", "", 0
    try:
        for path in sorted(paths, key=lambda path: (_begun(path), path.name)):
            tail = Tail()
            for event in read_events(path, tail):
                _take(event, wanted, points, others, found.hyperparameters)
            ended = f"{path.name} {tail.damage}" if tail.damage else ""
            damaged = damaged or (ended if not tail.torn else "")
            skipped += tail.skipped
    except OSError as error:
        found.problem = f"cannot be read ({error.strerror})"
    except (ValueError, OverflowError, MemoryError) as error:
        found.problem = one_line(str(error))[:LONGEST_REASON] or type(error).__name__
    found.curves = {tag: ([*map(int, sorted(own))], [own[step] for step in sorted(own)]) for tag, own in points.items()}
    found.other_tags = sorted(others)
    long = f"{skipped} of its records, longer than {LONGEST_RECORD:,} bytes, ignored" if skipped else ""
    found.problem = found.problem or one_line(damaged)
    ended = one_line(ended)
    found.closing = Closing(contract.UNFINISHED, ended) if ended else Closing(contract.FINISHED, long)
    return found


def _begun(path: Path) -> float:
    """Returns the time of a file's first event; 0 where it holds none."""
    return next((event.wall_time for event in read_events(path)), 0.0)


def _take(
    event: Event,
    wanted: Container[str],
    points: dict[str, dict[int, float]],
    others: set[str],
    given: dict[str, Any],
) -> None:
    if len(event.summary.value) > MOST_TAGS:
        raise ValueError(f"holds more than {MOST_TAGS} tags in a record")
    if event.HasField("session_log") and event.session_log.status == SessionLog.START:
        for curve in points.values():  # a restart from this step: what a lost process wrote beyond it does not count
            for step in [step for step in curve if step >= event.step]:
                del curve[step]
    for value in event.summary.value:
        if value.tag == hyperparameters.TAG:
            given.update(hyperparameters.of_record(value))
            continue
        scalar = value.HasField("simple_value")
        tensor = value.HasField("tensor") and not value.tensor.tensor_shape.dim and not value.tensor.string_val
        if not scalar and not tensor:
            continue
        if value.tag in wanted:
            number = value.simple_value if scalar else numbers_of(value)[0]
            if value.tag not in points and len(points) >= MOST_TAGS:
                raise ValueError(f"holds more than {MOST_TAGS} tags of the mapping")
            points.setdefault(value.tag, {})[int(event.step)] = number
        elif len(others) < MOST_TAGS and len(value.tag) <= LONGEST_TAG:
            others.add(value.tag)
