"""From event files to tables: one row a trial, one row a run, and what could not be used, with the reason."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util import tensor_util

from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.events import Tail, last_event, read_events, text_of


@dataclass
class EventFile:
    """What one event file says.

    Attributes:
        path: the file.
        description: what it is about, or None where it does not say.
        closing: its last word; unfinished where there is none.
        curves: tag -> (steps, values), in the order written.
        class_accuracy: final accuracy of each class, in the order learned.
        problem: why the file cannot be used, in words; empty if it can.
    """

    path: Path
    description: Description | None = None
    closing: Closing = field(default_factory=lambda: Closing(contract.UNFINISHED))
    curves: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    class_accuracy: list[float] = field(default_factory=list)
    problem: str = ""


def read_file(path: Path) -> EventFile:
    """Reads an event file of ours; never raises for what is in it."""
    found = EventFile(path)
    tail = Tail()
    try:
        for event in read_events(path, tail):
            _take(found, event)
    except OSError as error:
        found.problem = f"cannot be read ({error.strerror})"
    except ValueError as error:
        found.problem = str(error)
    if not found.problem and found.description is None:
        found.problem = tail.damage or "holds no description of a run"
    if not found.problem and tail.damage and found.closing.status == contract.UNFINISHED:
        found.closing = Closing(contract.UNFINISHED, tail.damage)
    return found


def _take(found: EventFile, event: Event) -> None:
    for value in event.summary.value:
        if value.tag == contract.RUN:
            text = text_of(value)
            if found.description is None:
                found.description = Description.from_json(text)
            else:
                found.closing = Closing.from_json(text)
        elif value.tag == contract.CLASS_ACCURACY:
            found.class_accuracy = [float(a) for a in tensor_util.make_ndarray(value.tensor)]
        elif value.HasField("simple_value"):
            steps, values = found.curves.setdefault(value.tag, ([], []))
            steps.append(int(event.step))
            values.append(float(value.simple_value))


def status_of(path: Path) -> str:
    """Returns the status of a task from the last record of its event file; unfinished where there is none."""
    try:
        event = last_event(path)
        closings = [value for value in event.summary.value if value.tag == contract.RUN] if event else []
        return Closing.from_json(text_of(closings[0])).status if closings else contract.UNFINISHED
    except (OSError, ValueError):
        return contract.UNFINISHED


def description_of(path: Path) -> Description | None:
    """Returns the description at the start of an event file, or None where it holds none."""
    try:
        for event in itertools.islice(read_events(path), 8):
            for value in event.summary.value:
                if value.tag == contract.RUN:
                    return Description.from_json(text_of(value))
    except (OSError, ValueError):
        pass
    return None


@dataclass
class Logs:
    """A folder of logs.

    Attributes:
        trials: one row a trial: identity, status, final scores.
        runs: one row a pre-trained model: identity, status, validation accuracy, cost.
        curves: one row a trial and point: trial (the row's number in `trials`), step and the curves' values.
        problems: one line a file that could not be used.
        facts: fingerprint -> the fields that it was made of.
    """

    trials: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    problems: list[str]
    facts: dict[str, dict[str, Any]]


def load(folder: Path) -> Logs:
    """Reads every event file below a folder.

    Raises:
        ValueError: there is no such folder, or no event file in it.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}")
    files = [read_file(path) for path in sorted(folder.rglob("*tfevents*")) if not path.name.startswith(".")]
    if not files:
        raise ValueError(f"no event files below {folder}")
    return tabulate(files, folder)


TRIAL_COLUMNS = (
    "file", "scenario", "protocol", "method", "strategy", "learner", "transfer", "fingerprint", "config_hash",
    "setting", "rate", "role", "pretrain_seed", "transfer_seed", "settings_tried", "outputs", "status", "reason",
    "held_out", "trained_on", "forgetting", "area", "seconds", "peak_memory",
)  # fmt: skip
RUN_COLUMNS = (
    "file", "scenario", "method", "config_hash", "pretrain_seed", "encoder", "input_size", "status", "reason",
    "validation", "updates", "seconds", "peak_memory", "parameters",
)  # fmt: skip


def tabulate(files: Iterable[EventFile], folder: Path) -> Logs:
    """Turns files into tables; `file` columns are paths below `folder`."""
    trials: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    curves: list[pd.DataFrame] = []
    problems: list[str] = []
    facts: dict[str, dict[str, Any]] = {}
    for found in files:
        name = found.path.relative_to(folder).as_posix()
        if found.problem:
            problems.append(f"{name}: {found.problem}")
        elif found.description is not None and found.description.transfer is None:
            runs.append(_run_row(name, found, found.description))
        elif found.description is not None:
            facts.setdefault(found.description.fingerprint, dict(found.description.fingerprint_fields))
            curves.append(_curve_rows(len(trials), found))
            trials.append(_trial_row(name, found, found.description))
    return Logs(
        trials=pd.DataFrame(trials, columns=list(TRIAL_COLUMNS)),
        runs=pd.DataFrame(runs, columns=list(RUN_COLUMNS)),
        curves=pd.concat(curves, ignore_index=True) if curves else pd.DataFrame({"trial": [], "step": []}),
        problems=problems,
        facts=facts,
    )


def _last(found: EventFile, tag: str) -> float:
    values = found.curves.get(tag, ([], []))[1]
    return values[-1] if values else float("nan")


def _trial_row(name: str, found: EventFile, about: Description) -> dict[str, Any]:
    method = f"{about.method} + {about.learner}" if about.learner else about.method
    held_out = found.curves.get(contract.HELD_OUT, ([], []))[1]
    return {
        "file": name,
        "scenario": about.scenario,
        "protocol": about.protocol,
        "method": method,
        "strategy": about.strategy,
        "learner": about.learner,
        "transfer": about.transfer,
        "fingerprint": about.fingerprint,
        "config_hash": about.config_hash,
        "setting": ", ".join(f"{key}={value}" for key, value in sorted(about.setting.items())),
        "rate": about.rate,
        "role": about.role,
        "pretrain_seed": about.pretrain_seed,
        "transfer_seed": about.transfer_seed,
        "settings_tried": about.settings_tried,
        "outputs": about.outputs,
        "status": found.closing.status,
        "reason": found.closing.reason,
        "held_out": _last(found, contract.HELD_OUT),
        "trained_on": _last(found, contract.TRAINED_ON),
        "forgetting": _last(found, contract.FORGETTING),
        "area": sum(held_out) / len(held_out) if held_out else float("nan"),
        "seconds": _last(found, contract.SECONDS),
        "peak_memory": _last(found, contract.PEAK_MEMORY),
    }


def _run_row(name: str, found: EventFile, about: Description) -> dict[str, Any]:
    steps = found.curves.get(contract.LOSS, ([], []))[0]
    return {
        "file": name,
        "scenario": about.scenario,
        "method": about.method,
        "config_hash": about.config_hash,
        "pretrain_seed": about.pretrain_seed,
        "encoder": about.encoder,
        "input_size": about.input_size,
        "status": found.closing.status,
        "reason": found.closing.reason,
        "validation": _last(found, contract.VALIDATION_ACCURACY),
        "updates": steps[-1] if steps else 0,
        "seconds": _last(found, contract.SECONDS),
        "peak_memory": _last(found, contract.PEAK_MEMORY),
        "parameters": _last(found, contract.PARAMETERS),
    }


def _curve_rows(trial: int, found: EventFile) -> pd.DataFrame:
    steps, held_out = found.curves.get(contract.HELD_OUT, ([], []))
    rows = pd.DataFrame({"trial": trial, "step": steps, "held_out": held_out})
    for column, tag in (("trained_on", contract.TRAINED_ON), ("forgetting", contract.FORGETTING)):
        at = dict(zip(*found.curves.get(tag, ([], []))))
        rows[column] = [at.get(step, float("nan")) for step in steps]
    return rows
