"""Writes event files; `zapbench.leaderboard.contract` declares their content.

A trial's file is written atomically. A run's own file grows while it pre-trains, so that TensorBoard can show it. When
pre-training resumes from a checkpoint, what follows the file's last point is removed, and points that it already has
are not written again.
"""

import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from zapbench.atomic import write_atomically
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.read.events import Tail, read_events
from zapbench.transfer.metrics import Trajectory


class EventWriter:
    """Writes events to an open binary file."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._records = RecordWriter(file)

    def start(self, description: Description, config: str) -> None:
        """Writes the version of the file, the description and the operative configuration."""
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.text(contract.RUN, description.to_json(), step=0)
        self.text(contract.CONFIG, config, step=0)

    def scalars(self, values: Mapping[str, float], *, step: int) -> None:
        """Writes one point of each of some curves."""
        parts = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=parts)))

    def costs(self, values: Mapping[str, float], *, step: int) -> None:
        """Writes one number of each cost, as 0-D tensors: TensorBoard opens on curves, not on cards of one point."""
        parts = [_tensor(tag, np.asarray(value, dtype=np.float32)) for tag, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=parts)))

    def tensor(self, tag: str, values: np.typing.NDArray[Any], *, step: int) -> None:
        """Writes an array."""
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=[_tensor(tag, values)])))

    def text(self, tag: str, text: str, *, step: int) -> None:
        """Writes a text."""
        self._write(Event(wall_time=time.time(), step=step, summary=text_pb(tag, text)))

    def hparams(self, description: Description) -> None:
        """Writes the values that TensorBoard's HParams page shows."""
        trial = f"{description.role}={description.transfer_seed}"
        values = {
            "scenario": description.scenario,
            "method": description.method,
            "transfer": str(description.transfer),
            "rate": description.rate or 0.0,
            "role": str(description.role),
            "pretrain_seed": description.pretrain_seed,
            "transfer_seed": description.transfer_seed or 0,
        } | {str(key): str(value) for key, value in description.setting.items()}
        name = f"{description.method} seed={description.pretrain_seed} {trial} lr={description.rate}"
        self._write(Event(wall_time=time.time(), summary=hparams.hparams_pb(values, trial_id=name)))

    def close_with(self, closing: Closing, *, step: int) -> None:
        """Writes how the task ended, as the last event."""
        self.text(contract.RUN, closing.to_json(), step=step)

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())


def _tensor(tag: str, values: np.typing.NDArray[Any]) -> Summary.Value:
    """Returns an array as a summary's value.

    TensorBoard cannot show it, and would warn about every file in which it has no plug-in's name.
    """
    view = SummaryMetadata.PluginData(plugin_name="zapbench")
    metadata = SummaryMetadata(data_class="DATA_CLASS_TENSOR", plugin_data=view)
    return Summary.Value(tag=tag, tensor=tensor_util.make_tensor_proto(values), metadata=metadata)


def write_trial(
    folder: Path,
    description: Description,
    config: str,
    trajectory: Trajectory,
    costs: Mapping[str, float],
    closing: Closing,
) -> None:
    """Writes a trial's event file atomically; replaces an earlier one."""
    buffer = io.BytesIO()
    writer = EventWriter(buffer)
    writer.start(description, config)
    writer.hparams(description)
    for step, values in _points(trajectory):
        writer.scalars(values, step=step)
    last = trajectory.steps[-1] if trajectory.steps else 0
    if trajectory.class_accuracy:
        writer.tensor(contract.CLASS_ACCURACY, np.asarray(trajectory.class_accuracy, dtype=np.float32), step=last)
    if trajectory.correct and description.role == contract.REPORT:
        writer.tensor(contract.CORRECT, _table(trajectory.correct), step=last)
    if trajectory.class_losses and description.role == contract.REPORT:
        writer.tensor(contract.CLASS_LOSSES, np.asarray(trajectory.class_losses, dtype=np.float32), step=last)
    writer.costs(costs, step=last)
    writer.close_with(closing, step=last)
    write_atomically(folder / contract.EVENT_FILE, buffer.getvalue())


def _points(trajectory: Trajectory) -> Iterator[tuple[int, dict[str, float]]]:
    """Yields what each point of the curves holds: step, and tag -> value."""
    curves = {
        contract.HELD_OUT: trajectory.held_out,
        contract.TRAINED_ON: trajectory.trained_on,
        contract.FORGETTING: trajectory.forgetting,
        contract.HELD_OUT_SEEN: trajectory.held_out_seen,
    }
    losses = dict(zip(trajectory.loss_steps, zip(trajectory.held_out_loss, trajectory.trained_on_loss)))
    for place, step in enumerate(trajectory.steps):
        values = {tag: curve[place] for tag, curve in curves.items() if curve}
        yield step, values | dict(zip((contract.HELD_OUT_LOSS, contract.TRAINED_ON_LOSS), losses.get(step, ())))


def _table(rows: Sequence[Sequence[int]]) -> np.typing.NDArray[np.uint8 | np.uint16]:
    """Returns counts as a table, `(points, classes)`, of as few bytes as hold them; 0 for classes not seen yet."""
    table = np.zeros((len(rows), max(map(len, rows))), dtype=np.uint16)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table.astype(np.uint8) if table.max(initial=0) < 256 else table


class PretrainRecord:
    """A run's own event file, which grows during pre-training; a context manager that closes it.

    Args:
        folder: the run's folder.
        description: description of the run.
        config: the operative gin configuration.

    Attributes:
        last: step of the last point that the file has; -1 if it has none.
    """

    def __init__(self, folder: Path, description: Description, config: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / contract.EVENT_FILE
        started, self.last = _repaired(path) if path.exists() else (False, -1)
        self._file = path.open("ab")
        self._writer = EventWriter(self._file)
        if not started:
            self._writer.start(description, config)
            self._file.flush()

    def point(self, values: Mapping[str, float], *, step: int) -> None:
        """Writes one point of the curves unless the file has it already."""
        if step > self.last:
            self._writer.scalars(values, step=step)
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def sync(self) -> None:
        """Forces the events to the disk; without this, a checkpoint could survive a crash that loses its points."""
        os.fsync(self._file.fileno())

    def finish(self, closing: Closing, costs: Mapping[str, float], *, step: int) -> None:
        """Writes the costs of pre-training and how it ended."""
        self._writer.costs(costs, step=step)
        self._writer.close_with(closing, step=step)
        self._file.flush()
        os.fsync(self._file.fileno())


def _repaired(path: Path) -> tuple[bool, int]:
    """Removes what follows the last point: an incomplete event, or an end, which pre-training will write again.

    All events are removed if the first ones are incomplete.

    Returns:
        Whether the file has description and configuration, and the step of its last point (-1 if it has none).
    """
    started, last, kept, tail = False, -1, 0, Tail()
    for event in read_events(path, tail):
        tags = {value.tag for value in event.summary.value}
        started |= contract.CONFIG in tags
        if contract.LOSS in tags:
            last = max(last, int(event.step))
        if contract.CONFIG in tags or contract.LOSS in tags:
            kept = tail.whole
    os.truncate(path, kept if started else 0)
    return started, last
