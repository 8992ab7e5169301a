"""One event file -> what it says. Never raises for what is in a file; knows nothing of tables."""

import itertools
import math
from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.read.events import (
    Tail,
    array_of,
    last_events,
    numbers_of,
    read_events,
    read_payloads,
    text_of,
)
from zapbench.leaderboard.read.plausible import Curves, implausible
from zapbench.leaderboard.read.trial_metrics import cadence, metrics
from zapbench.text import one_line

MOST_TAGS = 1000
"""A file with more tags is not a run's record (and would only eat memory)."""

LONGEST_REASON = 300
"""Letters of why a file cannot be used: a name in it may be as long as it likes."""

FIRST_RECORDS = 9
"""In which a file says what it is about."""

NO_DESCRIPTION = "holds no description of a run"
"""Why a file of another program cannot be used without a mapping."""

OTHER_PATTERN = "its folder is not of the pattern"
"""Why a run of another program is not used."""


@dataclass
class EventFile:
    """What one event file says.

    Attributes:
        path: the file.
        description: what it is about, or None where it does not say.
        closing: how its task ended; unfinished where it does not say.
        curves: tag -> (steps, values), in the order written.
        class_accuracy: final accuracy of each class, in the order learned.
        correct: held-out images predicted right, `(points, classes)`, of a trial that recorded them.
        arrays: tags of the arrays that were read.
        problem: why the file cannot be used, in words; empty if it can.
        other_tags: of logs from elsewhere: scalars that were not asked for.
        hyperparameters: of logs from elsewhere: those of TensorBoard's HParams plug-in.
    """

    path: Path
    description: Description | None = None
    closing: Closing = field(default_factory=lambda: Closing(contract.UNFINISHED))
    curves: Curves = field(default_factory=dict)
    class_accuracy: list[float] = field(default_factory=list)
    correct: npt.NDArray[np.int64] | None = None
    arrays: set[str] = field(default_factory=set)
    problem: str = ""
    other_tags: list[str] = field(default_factory=list)
    hyperparameters: dict[str, Any] = field(default_factory=dict)


def read_file(path: Path) -> EventFile:
    """Reads an event file that zapbench wrote."""
    found = EventFile(path)
    tail = Tail()
    try:
        for event in read_events(path, tail):
            _take(found, event)
    except OSError as error:
        found.problem = f"cannot be read ({error.strerror})"
    except (ValueError, OverflowError, MemoryError) as error:
        found.problem = one_line(str(error))[:LONGEST_REASON] or type(error).__name__
    if not found.problem and (found.description is None or (tail.damage and not tail.torn)):
        found.problem = tail.damage or NO_DESCRIPTION
    if tail.torn:
        found.closing = Closing(contract.UNFINISHED, tail.damage)
    if not found.problem:
        found.problem = implausible(found.description, found.closing, found.curves, found.class_accuracy)
    return found


def _take(found: EventFile, event: Event) -> None:
    if len(event.summary.value) > MOST_TAGS:
        raise ValueError(f"holds more than {MOST_TAGS} tags")
    step = event.step
    curves = found.curves
    for value in event.summary.value:
        tag = value.tag
        if value.HasField("simple_value"):
            if tag in curves:  # nearly all that a file holds passes here
                steps, values = curves[tag]
                steps.append(step)
                values.append(value.simple_value)
            else:
                _add(found, tag, step, value.simple_value)
        elif tag == contract.RUN:
            text = text_of(value)
            if found.description is None:
                found.description = Description.from_json(text)
            else:
                found.closing = Closing.from_json(text)
        elif tag in (contract.CLASS_ACCURACY, contract.CORRECT, contract.CLASS_LOSSES):
            _take_array(found, value)
        elif value.HasField("tensor") and not value.tensor.tensor_shape.dim and not value.tensor.string_val:
            _add(found, tag, step, *numbers_of(value))


def _take_array(found: EventFile, value: Summary.Value) -> None:
    """Takes an array that a record holds once: of two, each reader could take another.

    Raises:
        ValueError: the record has held it already.
    """
    if value.tag in found.arrays:
        raise ValueError(f"holds {value.tag} twice")
    found.arrays.add(value.tag)
    if value.tag == contract.CORRECT:
        found.correct = _counts(value)
    elif value.tag == contract.CLASS_LOSSES:
        _losses(value)  # checked now; read where it is wanted
    else:
        found.class_accuracy = numbers_of(value)


def _add(found: EventFile, tag: str, step: int, value: float) -> None:
    curve = found.curves.get(tag)
    if curve is None:
        if len(found.curves) >= MOST_TAGS:
            raise ValueError(f"holds more than {MOST_TAGS} tags")
        curve = found.curves[tag] = ([], [])
    curve[0].append(step)
    curve[1].append(value)


def summarise(found: EventFile) -> dict[str, Any]:
    """Returns a record without its curves: plain values that JSON can hold, final scores and areas among them.

    NaN is None, for a record that is cut off or diverged lacks some.
    """
    held_out = found.curves.get(contract.HELD_OUT, ([], []))[1]
    steps = found.curves.get(contract.LOSS, ([], []))[0]
    scores = {
        "held_out": last(found, contract.HELD_OUT),
        "held_out_seen": last(found, contract.HELD_OUT_SEEN),
        "trained_on": last(found, contract.TRAINED_ON),
        "forgetting": last(found, contract.FORGETTING),
        "area": sum(held_out) / len(held_out) if len(held_out) > 1 else None,
        "validation": last(found, contract.VALIDATION_ACCURACY),
        "updates": steps[-1] if steps else 0,
        "seconds": last(found, contract.SECONDS),
        "peak_memory": last(found, contract.PEAK_MEMORY),
        "parameters": last(found, contract.PARAMETERS),
        "images_seen": last(found, contract.IMAGES_SEEN),
        "gradient_steps": last(found, contract.GRADIENT_STEPS),
        "flops": last(found, contract.FLOPS),
        "class_mean": _mean(found.class_accuracy),
        "last_step": max(found.curves.get(contract.HELD_OUT, ([], []))[0], default=0),
        "held_out_loss": last(found, contract.HELD_OUT_LOSS),
        "trained_on_loss": last(found, contract.TRAINED_ON_LOSS),
        "effective_rank": last(found, contract.EFFECTIVE_RANK),
        "dormant_units": last(found, contract.DORMANT_UNITS),
        "weight_norm": last(found, contract.WEIGHT_NORM),
        "measured": len(held_out),
        "cadence": cadence(found.curves.get(contract.HELD_OUT, ([], []))[0]),
        **metrics(found.description, found.curves.get(contract.HELD_OUT, ([], [])), found.correct),
    }
    about = found.description.stable() if found.description is not None else None
    scores["device"] = found.description.device if found.description is not None else ""
    closing = {"status": found.closing.status, "reason": found.closing.reason}
    return {"problem": found.problem, "about": about, **closing, **scores}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def last(found: EventFile, tag: str) -> float | None:
    """Returns the last value of a curve; None where there is none or it is not finite."""
    values = found.curves.get(tag, ([], []))[1]
    return values[-1] if values and math.isfinite(values[-1]) else None


def points(found: EventFile) -> "array[float]":
    """Returns a trial's curves as one flat array: step, held out, trained on, forgetting, point after point."""
    steps, held_out = found.curves.get(contract.HELD_OUT, ([], []))
    others = [found.curves.get(tag, ([], [])) for tag in (contract.TRAINED_ON, contract.FORGETTING)]
    if all(other[0] == steps for other in others):
        columns: list[list[float]] = [[*map(float, steps)], held_out, others[0][1], others[1][1]]
    else:
        at = [dict(zip(*other)) for other in others]
        columns = [[*map(float, steps)], held_out, *([one.get(step, math.nan) for step in steps] for one in at)]
    flat = array("d", bytes(8 * len(columns) * len(steps)))
    for place, column in enumerate(columns):
        flat[place :: len(columns)] = array("d", column)
    return flat


def status_of(path: Path) -> str:
    """Returns the status of a task; unfinished where its event file is missing, torn, or damaged anywhere."""
    tail = Tail()
    try:
        last = deque(read_payloads(path, tail), maxlen=1)
        return contract.UNFINISHED if tail.damage or not last else _closing(Event.FromString(last[0])).status
    except (OSError, ValueError, DecodeError):
        return contract.UNFINISHED


def _closing(event: Event) -> Closing:
    told = [value for value in event.summary.value if value.tag == contract.RUN]
    return Closing.from_json(text_of(told[0])) if told else Closing(contract.UNFINISHED)


def ending_of(path: Path, records: int = 2) -> tuple[str, float]:
    """Returns a task's status and the seconds it took (NaN where they are not told), from its file's last records.

    Nothing else of the file is read, however long it is, so damage before them is not seen: `status_of` decides.
    """
    try:
        last, *before = last_events(path, records) or [Event()]
        status = _closing(last).status
        told = [value for event in before for value in event.summary.value if value.tag == contract.SECONDS]
        seconds = _number_of(told[0]) if told else math.nan
    except (OSError, ValueError):
        return contract.UNFINISHED, math.nan
    return status, seconds


def _number_of(value: Summary.Value) -> float:
    """Returns one number, written as a scalar (costs, by earlier versions) or as a 0-D tensor.

    Raises:
        ValueError: it is neither.
    """
    if value.HasField("simple_value"):
        return float(value.simple_value)
    (number,) = numbers_of(value)
    return number


def correct_per_class(path: Path) -> npt.NDArray[np.int64] | None:
    """Returns a trial's table `(points, classes)` of held-out images predicted right; None where there is none.

    It is read apart from the curves, for it may be a hundred times as large.

    Raises:
        ValueError: the file holds something else under its tag.
        OSError: the file cannot be read.
    """
    value = first_value(path, contract.CORRECT)
    return None if value is None else _counts(value)


def class_losses(path: Path) -> npt.NDArray[np.float64] | None:
    """Returns a trial's table `(points, classes)` of held-out losses in nats; None where there is none.

    Raises:
        ValueError: the file holds something else under its tag.
        OSError: the file cannot be read.
    """
    value = first_value(path, contract.CLASS_LOSSES)
    return None if value is None else _losses(value)


def first_value(path: Path, tag: str, records: int | None = None) -> Summary.Value | None:
    """Returns the first value of a tag in an event file; None where it holds none.

    Args:
        path: the file.
        tag: the tag.
        records: how many of the file's first records are looked at; None for all.

    Raises:
        OSError: the file cannot be read.
    """
    events = itertools.islice(read_events(path), records)
    return next((value for event in events for value in event.summary.value if value.tag == tag), None)


def _counts(value: Summary.Value) -> npt.NDArray[np.int64]:
    return _table(value).astype(np.int64)


def _losses(value: Summary.Value) -> npt.NDArray[np.float64]:
    found = _table(value).astype(np.float64)
    if np.isnan(found).any() or found.min(initial=0.0) < 0:
        raise ValueError(f"{contract.CLASS_LOSSES} holds a loss that is negative or not a number")
    return found


def _table(value: Summary.Value) -> npt.NDArray[Any]:
    found = array_of(value)
    if found.ndim != 2:
        raise ValueError(f"{value.tag} has {found.ndim} dimensions; allowed: 2")
    return found


def config_of(path: Path) -> str:
    """Returns the text of the configuration that an event file starts with; nothing where it holds none.

    It is a text to show: nobody parses it.
    """
    try:
        value = first_value(path, contract.CONFIG, FIRST_RECORDS)
        return "" if value is None else text_of(value)
    except (OSError, ValueError):
        return ""


def description_of(path: Path) -> Description | None:
    """Returns the description at the start of an event file, or None where it holds none."""
    try:
        value = first_value(path, contract.RUN, FIRST_RECORDS)
        return None if value is None else Description.from_json(text_of(value))
    except (OSError, ValueError):
        return None
