"""Transfer: a pre-trained model gets a new head and learns unseen classes from few images.

Sequential (Algorithm 2): class after class, one image at a time, one pass. I.i.d. (Algorithm 3): shuffled batches.
At once: the head by least squares on all images, no step (see `least_squares`).
One loop serves frozen and unfrozen transfer: frozen, the learner is the head and its inputs are features, taken once
an image; unfrozen, the learner is the whole model and its inputs are images. Models are in eval mode: batch norm's
running statistics stay as pre-training left them. Accuracy is arg-max over all outputs of the head, unseen and unused
ones too; a class's accuracy is over its images, a point of a curve the mean over the classes seen so far (i.i.d.: over
all classes, which all have as many images).
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier, last_layers, new_head
from zapbench.networks.gradients import gradients_of
from zapbench.scenarios.image_tensor import ImageTensor
from zapbench.scenarios.trial import Role, Trial
from zapbench.seeding import torch_generator
from zapbench.transfer.protocol import Protocol

Inputs = Callable[[Tensor], Tensor]
OptimizerFactory = Callable[..., torch.optim.Optimizer]
Right = np.typing.NDArray[np.bool_]
EVALUATION_BATCH = 1024


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


class Features:
    """A frozen encoder's features of images, each computed once, whatever the number of trials.

    Calling it with image indices gives features `(n, features)`.

    Attributes:
        table: `(images, features)`, a row an image.
        width: number of features.
    """

    def __init__(self, encoder: nn.Module, images: ImageTensor, wanted: Tensor) -> None:
        self._row = torch.full((len(images.pixels),), -1, dtype=torch.int64)
        wanted = wanted.unique()
        self._row[wanted] = torch.arange(len(wanted))
        encoder.eval()
        with torch.no_grad():
            parts = [encoder(images(part)) for part in wanted.split(EVALUATION_BATCH // 4)]
        self.table = torch.cat(parts)
        self.width = int(self.table.shape[1])

    def rows(self, index: Tensor) -> Tensor:
        """Returns where in `table` images `index` are."""
        return self._row[index]

    def __call__(self, index: Tensor) -> Tensor:
        """Returns the features of images `index`."""
        return self.table[self._row[index]]


def learner_for(
    model: Classifier, protocol: Protocol, outputs: int, generator: torch.Generator, inputs: Inputs
) -> nn.Module:
    """Returns what a trial trains: a new head, or the whole model under a new head; in eval mode.

    What does not learn has `requires_grad` False.
    """
    weight = model.head.weight
    features = inputs.width if isinstance(inputs, Features) else model.head.in_features
    head = new_head(features, outputs, generator=generator).to(weight.device, weight.dtype)
    if protocol.frozen:
        return head.eval()
    whole = copy.deepcopy(model)
    whole.head = head
    whole.requires_grad_(protocol.layers is None)
    for layer in last_layers(whole, protocol.layers) if protocol.layers is not None else ():
        layer.requires_grad_(True)
    return whole.eval()


def run_trial(
    learner: nn.Module,
    inputs: Inputs,
    trial: Trial,
    protocol: Protocol,
    *,
    optimizer: OptimizerFactory,
    rate: float,
    points: list[int],
    generator: torch.Generator,
    fast: bool = True,
) -> Trajectory:
    """Learns one trial and measures it.

    Args:
        learner: maps `inputs(index)` to logits; its parameters are trained in place.
        inputs: image indices -> the learner's inputs.
        trial: classes, labels and images.
        protocol: sequential or i.i.d., passes, images per step.
        optimizer: called with parameters and `lr`.
        rate: learning rate.
        points: steps at which to measure, rising; see `Protocol.points`.
        generator: draws the order of an i.i.d. trial.
        fast: whether gradients are written out where that can stand in for autograd; the two agree to rounding.

    Returns:
        The curves; where a loss was not finite they end before it, and `diverged` says where.
    """
    stepper = optimizer([p for p in learner.parameters() if p.requires_grad], lr=rate)
    gradients = gradients_of(learner, protocol.images_per_step, fast=fast)
    measure = Measure(learner, inputs, trial)
    wanted = set(points)
    for step, (images, labels) in enumerate(_steps(trial, protocol, generator), start=1):
        losses = []
        for part, part_labels in zip(images, labels):
            losses.append(gradients(inputs(part), part_labels))
            stepper.step()
        if losses and not torch.stack(losses).isfinite().all():
            measure.curve.end(step, "class" if protocol.protocol == "sequential" else "update")
            break
        if step in wanted:
            measure(step, seen=step if protocol.protocol == "sequential" else len(trial.classes))
    return measure.trajectory


class Curve:
    """Makes a trajectory, a point at a time, from which images are classified right."""

    def __init__(self, classes: int) -> None:
        self.trajectory = Trajectory()
        self._best = np.full(classes, -np.inf)

    def add(self, step: int, held_out: Right, trained_on: Right) -> None:
        """Adds the point `step`; both are `(classes seen, images)`, whether each image is classified right."""
        seen = len(held_out)
        accuracy = held_out.mean(axis=1, dtype=np.float64)
        self._best[:seen] = np.maximum(self._best[:seen], accuracy)
        self.trajectory.steps.append(step)
        self.trajectory.held_out.append(float(accuracy.mean()))
        self.trajectory.trained_on.append(float(trained_on.mean(axis=1, dtype=np.float64).mean()))
        self.trajectory.forgetting.append(float((self._best[:seen] - accuracy).mean()))
        self.trajectory.class_accuracy = [float(a) for a in accuracy]

    def end(self, step: int, unit: str = "class") -> None:
        """Says that the loss stopped being finite at `step`."""
        self.trajectory.diverged = f"the loss is not finite at {unit} {step}"


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
    def _right(self, images: "np.typing.NDArray[np.int64]") -> Right:
        index = torch.from_numpy(images.reshape(-1).copy())
        parts = [self._learner(self._inputs(part)).argmax(1) for part in index.split(EVALUATION_BATCH)]
        predicted = torch.cat(parts).cpu().numpy().reshape(images.shape)
        return np.asarray(predicted == self._trial.labels[: len(images), None])


def _steps(trial: Trial, protocol: Protocol, generator: torch.Generator) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Yields, a point of the curve at a time, the batches (image indices) and their labels."""
    train = torch.from_numpy(trial.train)
    labels = torch.from_numpy(trial.labels)
    if protocol.protocol == "at_once":
        yield [], []
        return
    if protocol.protocol == "sequential":
        for images, label in zip(train, labels):
            batches = list(images.split(protocol.images_per_step)) * protocol.passes
            yield batches, [label.repeat(len(batch)) for batch in batches]
        return
    flat, flat_labels = train.flatten(), labels.repeat_interleave(train.shape[1])
    for _ in range(protocol.passes):
        order = torch.randperm(len(flat), generator=generator)
        for batch in order.split(protocol.images_per_step):
            yield [flat[batch]], [flat_labels[batch]]


def trial_generator(name: str, scenario: str, pretrain_seed: int, transfer_seed: int, role: Role) -> torch.Generator:
    """Returns a named generator of a trial (`head`, `order`): the same for every method and rate."""
    return torch_generator(f"transfer {name} {role}", scenario, pretrain_seed, transfer_seed)
