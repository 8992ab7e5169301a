"""The curves of a trial, computed from the scores of its images (`docs/explanation/metrics.md`).

A class's accuracy is over its images; a point of a curve is the mean over the classes seen so far (i.i.d.: over all
classes, which all have the same number of images). The prediction is the arg-max over all outputs of the head, unseen
and unused ones included (official code, `evaluate`); beside it stands the accuracy where the arg-max is over the
outputs of the classes seen so far alone.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from zapbench.networks.outputs import outputs_of
from zapbench.scenarios.trial import Trial
from zapbench.transfer.features import EVALUATION_BATCH, Inputs

Correct = np.typing.NDArray[np.bool_]
"""Whether each image is predicted right, `(classes, images)`."""


@dataclass
class Trajectory:
    """Curves of one trial; every list but those of losses has one entry per point.

    Attributes:
        steps: classes seen (sequential) or updates (i.i.d.; at once: 1).
        held_out: accuracy on held-out images, in [0, 1].
        trained_on: accuracy on the images trained on, in [0, 1].
        forgetting: mean over seen classes of best so far minus now, on held-out images, in [0, 1].
        class_accuracy: final held-out accuracy of each class, in the order learned.
        diverged: empty, or in words where the loss stopped being finite.
        held_out_seen: accuracy on held-out images where predictions are among the classes seen so far, in [0, 1].
        correct: of each class seen, in the order learned, how many held-out images are predicted right.
        loss_steps: the steps at which losses were measured.
        held_out_loss: mean cross-entropy over all outputs on held-out images there, in nats.
        trained_on_loss: the same on the images trained on.
        class_losses: of each class of the trial, in the order learned, its held-out loss in nats; empty where that is
            not wanted.
    """

    steps: list[int] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    trained_on: list[float] = field(default_factory=list)
    forgetting: list[float] = field(default_factory=list)
    class_accuracy: list[float] = field(default_factory=list)
    diverged: str = ""
    held_out_seen: list[float] = field(default_factory=list)
    correct: list[list[int]] = field(default_factory=list)
    loss_steps: list[int] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)
    trained_on_loss: list[float] = field(default_factory=list)
    class_losses: list[list[float]] = field(default_factory=list)


def spread(points: Sequence[int], most: int) -> list[int]:
    """Returns at most so many of the points, spread evenly, the last among them.

    >>> spread([1, 50, 100, 150, 200], 2)
    [50, 200]
    """
    count = min(most, len(points))
    return [points[(place + 1) * len(points) // count - 1] for place in range(count)]


class Curve:
    """Makes a trajectory, a point at a time, from which images are predicted right."""

    def __init__(self, classes: int) -> None:
        self.trajectory = Trajectory()
        self._best = np.full(classes, -np.inf)

    def add(self, step: int, held_out: Correct, trained_on: Correct, held_out_seen: Correct) -> None:
        """Adds a point.

        Args:
            step: where.
            held_out: of the classes seen.
            trained_on: of the same.
            held_out_seen: as `held_out`, where predictions are among the classes seen.
        """
        seen = len(held_out)
        accuracy = held_out.mean(axis=1, dtype=np.float64)
        self._best[:seen] = np.maximum(self._best[:seen], accuracy)
        self.trajectory.steps.append(step)
        self.trajectory.held_out.append(float(accuracy.mean()))
        self.trajectory.trained_on.append(float(trained_on.mean(axis=1, dtype=np.float64).mean()))
        self.trajectory.forgetting.append(float((self._best[:seen] - accuracy).mean()))
        self.trajectory.class_accuracy = [float(a) for a in accuracy]
        self.trajectory.held_out_seen.append(float(held_out_seen.mean(axis=1, dtype=np.float64).mean()))
        self.trajectory.correct.append(held_out.sum(axis=1).tolist())

    def add_losses(self, step: int, held_out: float, trained_on: float) -> None:
        """Adds mean losses; those that are not finite are ignored, for a curve holds numbers."""
        if np.isfinite([held_out, trained_on]).all():
            self.trajectory.loss_steps.append(step)
            self.trajectory.held_out_loss.append(held_out)
            self.trajectory.trained_on_loss.append(trained_on)

    def end(self, step: int, unit: str = "class", *, what: str = "the loss") -> None:
        """Records that the loss (or something else) is not finite at `step`."""
        self.stop(f"{what} is not finite at {unit} {step}")

    def stop(self, reason: str) -> None:
        """Records why the trial diverged, in one line."""
        self.trajectory.diverged = reason


@dataclass(frozen=True)
class Judged:
    """What the scores of some images say; every array is `(classes, images)`.

    Attributes:
        right: whether the largest of all scores is the label's.
        right_seen: whether the largest of the seen classes' scores is.
        losses: cross-entropy over all outputs in nats, float64; empty where it is not wanted.
    """

    right: Correct
    right_seen: Correct
    losses: np.typing.NDArray[np.float64]


def judge(scores: Tensor, labels: Tensor, seen: Tensor, *, losses: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns, of each image, what `Judged` says; the lowest output wins a tie.

    Args:
        scores: `(images, outputs)`.
        labels: outputs of the images' classes, `(images,)`.
        seen: outputs of the classes seen so far, rising.
        losses: whether the losses are wanted.
    """
    right = scores.argmax(1) == labels
    right_seen = seen[scores[:, seen].argmax(1)] == labels
    found = nn.functional.cross_entropy(scores, labels, reduction="none").double() if losses else scores.new_empty(0)
    return right, right_seen, found


class Measure:
    """Measures a learner on the classes seen so far.

    Args:
        learner: inputs -> scores `(images, outputs)`.
        inputs: image indices -> inputs.
        trial: classes, labels and images.
        loss_points: steps at which losses are measured, too.
        class_losses: whether each point also has the loss of every class, those to come included.
        fast: whether scores may be computed otherwise than by the learner itself; both agree to rounding.
    """

    def __init__(
        self,
        learner: Callable[[Tensor], Tensor],
        inputs: Inputs,
        trial: Trial,
        loss_points: Collection[int] = (),
        *,
        class_losses: bool = False,
        fast: bool = True,
    ) -> None:
        self.curve = Curve(len(trial.classes))
        self._scores_of = outputs_of(learner, fast=fast, pass_size=EVALUATION_BATCH)
        self._inputs = inputs
        self._trial = trial
        self._loss_points = frozenset(loss_points)
        self._class_losses = class_losses

    @property
    def trajectory(self) -> Trajectory:
        """What was measured so far."""
        return self.curve.trajectory

    def __call__(self, step: int, *, seen: int) -> None:
        """Adds the point `step`, over the first `seen` classes."""
        losses = step in self._loss_points
        self._scores_of.load()
        held_out, trained_on = (
            self._judged(images[:seen], losses=losses) for images in (self._trial.held_out, self._trial.train)
        )
        self.curve.add(step, held_out.right, trained_on.right, held_out.right_seen)
        if losses:
            self.curve.add_losses(step, float(held_out.losses.mean()), float(trained_on.losses.mean()))
        if self._class_losses:
            every_class = self._judged(self._trial.held_out, losses=True).losses.mean(axis=1)
            self.trajectory.class_losses.append(every_class.tolist())

    @torch.no_grad()
    def _judged(self, images: "np.typing.NDArray[np.int64]", *, losses: bool) -> Judged:
        index = torch.from_numpy(images.reshape(-1).copy())
        labels = torch.from_numpy(self._trial.labels[: len(images)])
        seen, every = labels.sort().values, labels.repeat_interleave(images.shape[1])
        passes = self._scores_of.passes(index)
        parts = []
        for part, own in zip(passes, every.split(len(passes[0]))):
            scores = self._scores_of(self._inputs(part))
            parts.append(judge(scores, own.to(scores.device), seen.to(scores.device), losses=losses))
        right, right_seen, found = (torch.cat(column).cpu().numpy() for column in zip(*parts))
        shape = images.shape
        return Judged(right.reshape(shape), right_seen.reshape(shape), found.reshape(shape) if losses else found)
