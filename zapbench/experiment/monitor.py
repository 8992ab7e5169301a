"""A plug-in that writes curves and checkpoints, detects divergence and reports progress during pre-training."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from zapbench.experiment import checkpoints
from zapbench.experiment.checkpoints import Checkpoint
from zapbench.experiment.record import PretrainRecord
from zapbench.experiment.resources import ResourceMeter
from zapbench.leaderboard import contract
from zapbench.networks.choices import choices, set_choices
from zapbench.networks.passes import in_passes
from zapbench.strategies.base import load_plugin_states, plugin_states
from zapbench.strategies.data import ImageSource
from zapbench.tasks import Progress, Stopped

POINTS = 50
"""Points of the training curves of one pre-training, at most."""

VALIDATION_POINTS = 10
"""Points of the validation curve, at most."""


class Diverged(Exception):
    """The loss is not finite; this is a result of the run, not an error."""


class Monitor(SupervisedPlugin):
    """Monitors one pre-training of any Avalanche strategy; must be the strategy's last plug-in.

    At an interval of updates it writes a point of the curves, or raises `Diverged` if the mean loss is not finite. It
    saves a checkpoint at an interval of time and when the run is asked to stop; losses since the last point are part of
    the checkpoint. A plug-in that has `state_dict` and `load_state_dict` is saved and restored with it.

    Args:
        record: the run's event file.
        path: the checkpoint's path.
        identity: what a checkpoint belongs to: hash of the configuration, and of data and outside code.
        total: total number of updates.
        validate: returns the model's validation accuracy, in [0, 1]; None without validation images.
        seconds: seconds between two checkpoints.
        cost: measures the time and memory of the run.
        progress: called after updates, but at most once in `progress_seconds`.
        progress_seconds: see `progress`.
        resume: the checkpoint to resume from; None to start at the first update.
    """

    def __init__(
        self,
        record: PretrainRecord,
        path: Path,
        identity: tuple[str, str],
        total: int,
        *,
        validate: Callable[[nn.Module], float] | None,
        seconds: float,
        cost: ResourceMeter,
        progress: Progress,
        progress_seconds: float,
        resume: Checkpoint | None,
    ) -> None:
        super().__init__()
        self._record = record
        self._path = path
        self._identity = identity
        self._total = total
        self._validate = validate
        self._seconds = seconds
        self._cost = cost
        self._progress = progress
        self._progress_seconds = progress_seconds
        self._resume = resume
        self._every = every(total)
        self._losses: list[Tensor] = []
        self._correct: list[Tensor] = []
        self._saved = self._reported = time.monotonic()

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Restores optimiser, clock, plug-ins and generators from the checkpoint, after Avalanche has reset them."""
        if self._resume is None:
            return
        set_choices(self._resume.choices)
        strategy.optimizer.load_state_dict(self._resume.optimizer)
        strategy.clock.train_iterations = self._resume.updates
        strategy.clock.total_iterations = self._resume.updates
        load_plugin_states(strategy, self._resume.plugins)
        checkpoints.restore_generators(self._resume.generators)
        self._losses = list(self._resume.point["losses"].to(strategy.device))
        self._correct = list(self._resume.point["correct"].to(strategy.device))

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the loss and the accuracy; writes a point or a checkpoint if one is due."""
        self._losses.append(strategy.loss.detach().reshape(()))
        self._correct.append((strategy.mb_output.detach().argmax(1) == strategy.mb_y).float().mean())
        done = strategy.clock.train_iterations
        if done % self._every == 0 or done == self._total:
            self._point(strategy, done)
        now = time.monotonic()
        if now - self._reported >= self._progress_seconds:
            self._reported = now
            try:
                self._progress("pre-training", done, self._total)
            except Stopped:
                self._save(strategy, done)
                raise
        if done < self._total and now - self._saved >= self._seconds:
            self._save(strategy, done)
            self._saved = time.monotonic()

    def _point(self, strategy: Any, done: int) -> None:
        loss = float(torch.stack(self._losses).mean())
        accuracy = float(torch.stack(self._correct).mean())
        self._losses, self._correct = [], []
        if not math.isfinite(loss):
            raise Diverged(f"the loss is not finite at update {done} of {self._total}")
        values = {contract.LOSS: loss, contract.TRAIN_ACCURACY: accuracy}
        due = done == self._total or (done // self._every) % (POINTS // VALIDATION_POINTS) == 0
        if self._validate is not None and due:
            values[contract.VALIDATION_ACCURACY] = self._validate(strategy.model)
        self._record.point(values, step=done)

    def _save(self, strategy: Any, done: int) -> None:
        self._record.sync()
        checkpoints.save(self._path, self._checkpoint(strategy, done))

    def _checkpoint(self, strategy: Any, done: int) -> Checkpoint:
        return Checkpoint(
            config_hash=self._identity[0],
            identity=self._identity[1],
            choices=choices(),
            updates=done,
            finished=False,
            model=strategy.model.state_dict(),
            outputs=strategy.model.head.out_features,
            optimizer=strategy.optimizer.state_dict(),
            generators=checkpoints.generator_states(),
            plugins=plugin_states(strategy),
            seconds=self._cost.seconds(),
            point={"losses": _stack(self._losses), "correct": _stack(self._correct)},
        )


def every(total: int) -> int:
    """Returns the number of updates between two points of the curves."""
    return max(1, math.ceil(total / POINTS))


def _stack(values: list[Tensor]) -> Tensor:
    return torch.stack(values) if values else torch.empty(0)


@torch.no_grad()
def accuracy(model: nn.Module, images: ImageSource, index: Tensor, labels: Tensor) -> float:
    """Returns the share of images that a model classifies correctly in eval mode, in [0, 1]; restores its mode."""
    training = model.training
    model.eval()
    parts = [model(images(part)).argmax(1).cpu() for part in in_passes(index, model)]
    model.train(training)
    return float((torch.cat(parts) == labels.cpu()).float().mean())
