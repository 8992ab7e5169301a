"""Pre-training under watch: curves, checkpoints, divergence and progress, for any Avalanche strategy."""

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
from zapbench.strategies.base import load_plugin_states, plugin_states
from zapbench.strategies.data import ImageSource
from zapbench.tasks import Progress, Stopped

POINTS = 50
VALIDATION_POINTS = 10


class Diverged(Exception):
    """The loss is not finite: a result, not an error."""


class Monitor(SupervisedPlugin):
    """Watches one pre-training; the last plug-in of its strategy.

    Every so many updates it writes a point of the curves (and raises `Diverged` where the mean loss is not finite);
    when enough time has passed, or work is to stop, a checkpoint, which holds the point in the making, too.

    Args:
        record: the run's event file.
        path: where checkpoints go.
        config_hash: of the composed configuration.
        total: updates in all.
        validate: measures the model, in [0, 1]; None where there are no validation images.
        seconds: seconds between two checkpoints.
        cost: what the run has cost so far.
        progress: called as updates are made, but not more often than every `progress_seconds`.
        progress_seconds: see `progress`.
        resume: the checkpoint to go on from.
    """

    def __init__(
        self,
        record: PretrainRecord,
        path: Path,
        config_hash: str,
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
        self._config_hash = config_hash
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
        self._saved = self._told = time.monotonic()

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Puts optimiser, clock, plug-ins and generators where the checkpoint left them (Avalanche has reset them)."""
        if self._resume is None:
            return
        strategy.optimizer.load_state_dict(self._resume.optimizer)
        strategy.clock.train_iterations = self._resume.updates
        strategy.clock.total_iterations = self._resume.updates
        load_plugin_states(strategy, self._resume.plugins)
        checkpoints.restore_generators(self._resume.generators)
        self._losses = list(self._resume.point["losses"].to(strategy.device))
        self._correct = list(self._resume.point["correct"].to(strategy.device))

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps loss and accuracy; writes points and checkpoints where they are due."""
        self._losses.append(strategy.loss.detach().reshape(()))
        self._correct.append((strategy.mb_output.detach().argmax(1) == strategy.mb_y).float().mean())
        done = strategy.clock.train_iterations
        if done % self._every == 0 or done == self._total:
            self._point(strategy, done)
        now = time.monotonic()
        if now - self._told >= self._progress_seconds:
            self._told = now
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
        kept = {"losses": self._losses, "correct": self._correct}
        return Checkpoint(
            config_hash=self._config_hash,
            updates=done,
            finished=False,
            model=strategy.model.state_dict(),
            outputs=strategy.model.head.out_features,
            optimizer=strategy.optimizer.state_dict(),
            generators=checkpoints.generator_states(),
            plugins=plugin_states(strategy),
            seconds=self._cost.seconds(),
            point={name: _stack(values) for name, values in kept.items()},
        )


def every(total: int) -> int:
    """Returns the updates between two points of the curves."""
    return max(1, math.ceil(total / POINTS))


def _stack(values: list[Tensor]) -> Tensor:
    return torch.stack(values) if values else torch.empty(0)


@torch.no_grad()
def accuracy(model: nn.Module, images: ImageSource, index: Tensor, labels: Tensor, *, batch: int = 512) -> float:
    """Returns the share of images that a model gets right in eval mode, in [0, 1]; its mode is left as it was."""
    training = model.training
    model.eval()
    parts = [model(images(part)).argmax(1).cpu() for part in index.split(batch)]
    model.train(training)
    return float((torch.cat(parts) == labels.cpu()).float().mean())
