"""What heads in closed form share: the interface, which protocols they learn under, and the loop over a trial.

Everything is computed in float64 on the CPU. A learner keeps sums over the images it has seen; images that come one by
one or together leave the same sums, up to rounding. So the loop hands over the images of several classes together, for
large matrix products are faster, and the head is computed from the sums at the points of the curve alone.

A head has a score for every output. An output of which no image was seen has a score of minus infinity: it is never
predicted, whether predictions are over all outputs or over the classes seen so far.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from zapbench.scenarios.trial import Trial
from zapbench.transfer.features import Features, Inputs
from zapbench.transfer.metrics import Measure, Trajectory
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.protocol import Protocol

BLOCK = 256
"""Images that are learned together, at most (but for a class that has more)."""

HeadFactory = Callable[..., "ClosedForm"]
"""Called with `features` (number of them), `outputs` and `generator` (of random draws)."""


class ClosedForm(nn.Module):
    """A linear head that is computed from statistics of features.

    A subclass implements `learn` and `solve`, and `expand` where its head is on other features than the encoder's.

    Args:
        features: number of (expanded) features.
        outputs: outputs of the head.

    Attributes:
        head: as last computed; expanded features `(images, features)` -> scores `(images, outputs)`.
        counts: images seen of each output, `(outputs,)` int64.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.utils.skip_init(nn.Linear, features, outputs, dtype=torch.float64)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -torch.inf)
        self.counts = torch.zeros(outputs, dtype=torch.int64)

    def expand(self, features: Tensor) -> Tensor:
        """Returns what the head is on: `(images, encoder's features)` -> `(images, features)`; called once per image.

        By default the encoder's features.
        """
        return features

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """Adds images to the statistics; called in the order of the trial.

        Args:
            features: expanded, `(images, features)` float64; no images change nothing.
            labels: their outputs, `(images,)` int64.
        """
        raise NotImplementedError

    def solve(self) -> tuple[Tensor, Tensor]:
        """Returns weights `(outputs, features)` and biases `(outputs,)`; called at the points of the curve.

        What it returns for outputs of which no image was seen is ignored.
        """
        raise NotImplementedError

    def update_head(self) -> None:
        """Sets the head to the solution for the images seen so far.

        Raises:
            ValueError: the solution is not finite.
        """
        weights, biases = self.solve()
        unseen = self.counts == 0
        if not (weights.isfinite().all() and biases[~unseen].isfinite().all()):
            raise ValueError("the head is not finite: features are too large")
        self.head.weight.copy_(weights)
        self.head.bias.copy_(biases.masked_fill(unseen, -torch.inf))

    def forward(self, features: Tensor) -> Tensor:
        """Returns the scores of expanded features, `(images, outputs)`."""
        scores: Tensor = self.head(features)
        return scores


def check_protocol(protocol: Protocol) -> None:
    """Refuses a protocol that a head in closed form cannot learn under.

    Raises:
        ValueError: not one pass of sequential transfer with a frozen encoder, or the row has no name.
    """
    if protocol.protocol != "sequential" or not protocol.frozen or protocol.passes != 1:
        raise ValueError(
            "a head in closed form needs one pass of sequential transfer with a frozen encoder, got "
            f"{protocol.name!r}, passes = {protocol.passes}"
        )
    if not protocol.learner:
        raise ValueError(
            'a head in closed form needs a name for its row: bind `transfer/sequential_transfer.learner = "ncm"`'
        )


@torch.no_grad()
def run_closed_form(inputs: Inputs, plan: TrialPlan, *, tell: Callable[[], None] = lambda: None) -> Trajectory:
    """Learns one trial with a head in closed form and measures it; see `zapbench.transfer.reference.run_trial`.

    Args:
        inputs: image indices -> features.
        plan: what to learn; its learner is a `ClosedForm`.
        tell: called after each block of classes.

    Returns:
        The curves. Where a feature or the head is not finite they end before it, and `diverged` says where.
    """
    learner, trial = plan.learner, plan.trial
    assert isinstance(learner, ClosedForm)
    assert isinstance(inputs, Features)
    expanded = inputs.mapped(
        torch.from_numpy(np.concatenate([trial.train, trial.held_out], axis=1)),
        lambda features: learner.expand(features.cpu().double()),
    )
    measure = Measure(learner, expanded, trial, plan.loss_points, class_losses=plan.protocol.class_losses)
    train, labels = torch.from_numpy(trial.train), torch.from_numpy(trial.labels)
    first = 0
    for last in _ends(plan.points, max(1, BLOCK // max(1, train.shape[1]))):
        if (bad := _first_not_finite(expanded, trial, first, last)) is not None:
            measure.curve.end(bad + 1, what="a feature")
            break
        learner.learn(expanded(train[first:last].flatten()), labels[first:last].repeat_interleave(train.shape[1]))
        first = last
        if last in plan.points:
            try:
                learner.update_head()
            except ValueError as error:
                measure.curve.stop(f"{error} (class {last})")
                break
            measure(last, seen=last)
        tell()
    return measure.trajectory


def _ends(points: Sequence[int], most: int) -> Iterator[int]:
    """Yields where blocks of at most so many classes end; every point is one."""
    last = 0
    for point in points:
        while last < point:
            last = min(last + most, point)
            yield last


def _first_not_finite(features: Inputs, trial: Trial, first: int, last: int) -> int | None:
    """Returns the place of the first class, from `first` to `last`, with a feature that is not finite; else None."""
    index = torch.from_numpy(np.concatenate([trial.train[first:last], trial.held_out[first:last]], axis=1))
    finite = features(index.flatten()).isfinite().all(1).view(index.shape).all(1)
    return None if finite.all() else first + int(finite.int().argmin())
