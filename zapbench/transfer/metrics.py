"""The curves of a trial, computed from which images are classified correctly.

A class's accuracy is over its images; a point of a curve is the mean over the classes seen so far (i.i.d.: over all
classes, which all have the same number of images). The prediction is the arg-max over all outputs of the head, unseen
and unused ones included (official code, `evaluate`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from zapbench.scenarios.scenario import Trial
from zapbench.transfer.features import EVALUATION_BATCH, Inputs

Correct = np.typing.NDArray[np.bool_]


@dataclass
class Trajectory:
    """Curves of one trial; every list has one entry a point.

    Attributes:
        steps: classes seen (sequential) or updates (i.i.d.; at once: 1).
        held_out: accuracy on held-out images, in [0, 1].
        trained_on: accuracy on the images trained on, in [0, 1].
        forgetting: mean over seen classes of best so far minus now, on held-out images, in [0, 1].
        class_accuracy: final held-out accuracy of each class, in the order learned.
        diverged: empty, or in words where the loss stopped being finite.
    """

    steps: list[int] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    trained_on: list[float] = field(default_factory=list)
    forgetting: list[float] = field(default_factory=list)
    class_accuracy: list[float] = field(default_factory=list)
    diverged: str = ""


class Curve:
    """Makes a trajectory, a point at a time, from which images are classified right."""

    def __init__(self, classes: int) -> None:
        self.trajectory = Trajectory()
        self._best = np.full(classes, -np.inf)

    def add(self, step: int, held_out: Correct, trained_on: Correct) -> None:
        """Adds the point `step`; both are `(classes seen, images)`, whether each image is classified right."""
        seen = len(held_out)
        accuracy = held_out.mean(axis=1, dtype=np.float64)
        self._best[:seen] = np.maximum(self._best[:seen], accuracy)
        self.trajectory.steps.append(step)
        self.trajectory.held_out.append(float(accuracy.mean()))
        self.trajectory.trained_on.append(float(trained_on.mean(axis=1, dtype=np.float64).mean()))
        self.trajectory.forgetting.append(float((self._best[:seen] - accuracy).mean()))
        self.trajectory.class_accuracy = [float(a) for a in accuracy]

    def end(self, step: int, unit: str = "class", *, what: str = "the loss") -> None:
        """Records that the loss (or something else) is not finite at `step`."""
        self.stop(f"{what} is not finite at {unit} {step}")

    def stop(self, reason: str) -> None:
        """Records why the trial diverged, in one line."""
        self.trajectory.diverged = reason


class Measure:
    """Measures a learner on the classes seen so far."""

    def __init__(self, learner: Callable[[Tensor], Tensor], inputs: Inputs, trial: Trial) -> None:
        self.curve = Curve(len(trial.classes))
        self._learner = learner
        self._inputs = inputs
        self._trial = trial

    @property
    def trajectory(self) -> Trajectory:
        """What was measured so far."""
        return self.curve.trajectory

    def __call__(self, step: int, *, seen: int) -> None:
        """Adds the point `step`, over the first `seen` classes."""
        held_out, train = self._trial.held_out[:seen], self._trial.train[:seen]
        self.curve.add(step, self._right(held_out), self._right(train))

    @torch.no_grad()
    def _right(self, images: "np.typing.NDArray[np.int64]") -> Correct:
        index = torch.from_numpy(images.reshape(-1).copy())
        parts = [self._learner(self._inputs(part)).argmax(1) for part in index.split(EVALUATION_BATCH)]
        predicted = torch.cat(parts).cpu().numpy().reshape(images.shape)
        return np.asarray(predicted == self._trial.labels[: len(images), None])
