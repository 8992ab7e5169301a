"""Draws of a scenario: the classes and images of one transfer, and how pre-training images are split."""

from dataclasses import dataclass
from typing import Literal

from zapbench.scenarios.images import Indices

Role = Literal["report", "select"]
"""Whether a trial's score is reported, or selects hyperparameters."""


@dataclass(frozen=True)
class Trial:
    """The draws of one transfer: the same for every method.

    Attributes:
        classes: `(classes,)` classes of the data set, in the order in which they are learned.
        labels: `(classes,)` their positions among all transfer classes: the head's outputs that stand for them.
        train: `(classes, images trained on)` image indices.
        held_out: `(classes, images held out)` image indices.
    """

    classes: Indices
    labels: Indices
    train: Indices
    held_out: Indices


@dataclass(frozen=True)
class PretrainingSplit:
    """Images of the pre-training classes: `train` and `validation`, each `(classes, images)` image indices."""

    train: Indices
    validation: Indices
