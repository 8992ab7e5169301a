"""Protocols of transfer: how new classes are learned, and which scores may therefore be compared."""

from dataclasses import dataclass
from typing import Any, Literal

import gin

from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.trial import Role


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How new classes are learned. Scores may be compared only where this is the same.

    Attributes:
        protocol: `sequential`, `iid` or `at_once`.
        frozen: whether only the head learns.
        passes: passes over the images trained on.
        images_per_step: images per gradient step; 0 for all (at once).
        every: classes (or updates) between two points of a reported trial's curves; 0 for the last point only.
        every_select: the same for selection trials.
        first: whether a reported trial is also measured after the first class (or update). The official code's points
            on Omniglot are `first = True, every = 50`.
        losses: number of points, at most, at which losses are measured, too: spread evenly, including the last. A loss
            takes an exponential per image and output, and so costs more than a prediction.
        class_losses: whether each point also records the mean held-out loss of every class of the trial, those to be
            learned later included. Fast engines measure no such losses, so the plain loop runs.
        learner: suffix of the row's name, `asb_zap + learner`; empty for plain fine-tuning.
        layers: in unfrozen transfer, how many of the last linear or convolutional layers learn; None for all layers.
            The last layer is re-initialised, the others start from their pre-trained weights.
        start: whether the head is initialised at `random` or by least squares (`lstsq`) on all images trained on.
        head: whether the head has the `scenario`'s number of outputs (the official code) or one output per transfer
            class (`classes`), which makes another row of a table.
    """

    protocol: Literal["sequential", "iid", "at_once"]
    frozen: bool
    passes: int
    images_per_step: int
    every: int = 1
    every_select: int = 0
    first: bool = False
    losses: int = 20
    class_losses: bool = False
    learner: str = ""
    layers: int | None = None
    start: Literal["random", "lstsq"] = "random"
    head: Literal["scenario", "classes"] = "scenario"

    def __post_init__(self) -> None:
        """Checks sizes before anything is trained."""
        for name in ("passes", "images_per_step"):
            if getattr(self, name) < (self.protocol != "at_once"):
                raise ValueError(f"{self.protocol}: {name} must be at least 1, got {getattr(self, name)}")
        for name, allowed in (("start", ("random", "lstsq")), ("head", ("scenario", "classes"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{self.protocol}: {name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        if self.layers is not None and (self.frozen or self.layers < 1):
            wrong = "frozen" if self.frozen else str(self.layers)
            raise ValueError(f"{self.protocol}: layers is for unfrozen transfer and at least 1, got {wrong}")
        for name in ("every", "every_select", "losses"):
            if getattr(self, name) < 0:
                raise ValueError(f"{self.protocol}: {name} must be at least 0, got {getattr(self, name)}")

    @property
    def name(self) -> str:
        """The heading of a table: `sequential` or `iid`, then `, unfrozen` or `, frozen`, then the size of batches."""
        learns = "frozen" if self.frozen else "unfrozen" if self.layers is None else f"last {self.layers} layers"
        batches = self.protocol == "sequential" and self.images_per_step > 1
        words = f", {self.images_per_step} images per step" if batches else ""
        return f"{self._order.replace('_', ' ')}, {learns}{words}"

    @property
    def _order(self) -> str:
        steps = self.protocol != "at_once"
        return f"{self.protocol} after least squares" if steps and self.start == "lstsq" else self.protocol

    def outputs(self, scenario: Scenario) -> int:
        """Returns the outputs of the head."""
        return scenario.transfer_outputs if self.head == "scenario" else len(scenario.transfer_classes)

    def facts(self) -> dict[str, Any]:
        """Returns the protocol's part of the fingerprint."""
        return {
            "protocol": self._order,
            "frozen": self.frozen if self.layers is None else f"all but the last {self.layers} layers",
            "passes": self.passes,
            "images_per_step": self.images_per_step,
            "accuracy": "arg-max over all outputs, mean over seen classes",
        }

    def points(self, total: int, role: Role) -> list[int]:
        """Returns the steps in `1..total` at which a trial is measured, always including the last."""
        every = self.every if role == "report" else self.every_select
        regular = range(every, total, every) if every else range(0)
        first = {1} if self.first and role == "report" else set()
        return sorted(first.union(regular, [total]))


@gin.register
def sequential_transfer(
    *,
    frozen: bool = True,
    passes: int = 1,
    images_per_step: int = 1,
    layers: int | None = None,
    head: Literal["scenario", "classes"] = "scenario",
    every: int = 1,
    every_select: int = 0,
    first: bool = False,
    losses: int = 20,
    class_losses: bool = False,
    learner: str = "",
) -> Protocol:
    """Returns Algorithm 2: class after class, by default one image per step and one pass; see `Protocol`."""
    return Protocol(
        protocol="sequential",
        frozen=frozen,
        passes=passes,
        images_per_step=images_per_step,
        every=every,
        every_select=every_select,
        first=first,
        losses=losses,
        class_losses=class_losses,
        learner=_row(learner, head),
        layers=layers,
        head=head,
    )


@gin.register
def iid_transfer(
    *,
    frozen: bool = False,
    epochs: int = 5,
    batch_size: int = 256,
    layers: int | None = None,
    start: Literal["random", "lstsq"] = "random",
    head: Literal["scenario", "classes"] = "scenario",
    every: int = 1,
    every_select: int = 0,
    first: bool = False,
    losses: int = 20,
    class_losses: bool = False,
    learner: str = "",
) -> Protocol:
    """Returns Algorithm 3: shuffled batches of all classes for some epochs; see `Protocol`."""
    return Protocol(
        protocol="iid",
        frozen=frozen,
        passes=epochs,
        images_per_step=batch_size,
        every=every,
        every_select=every_select,
        first=first,
        losses=losses,
        class_losses=class_losses,
        learner=_row(learner, head),
        layers=layers,
        start=start,
        head=head,
    )


@gin.register
def least_squares_transfer(*, head: Literal["scenario", "classes"] = "scenario") -> Protocol:
    """Returns the official code's "zero-shot" transfer: a head by least squares on all images, without steps."""
    return Protocol(
        protocol="at_once",
        frozen=True,
        passes=1,
        images_per_step=0,
        learner=_row("lstsq", head),
        start="lstsq",
        head=head,
    )


def _row(learner: str, head: str) -> str:
    """Returns the suffix of a row's name, which also names a head of another width."""
    return ", ".join(part for part in (learner, "an output a class" if head == "classes" else "") if part)


def count_steps(protocol: Protocol, classes: int, images_per_class: int) -> int:
    """Returns the last point of a trial's curves: classes (sequential), updates (i.i.d.) or 1 (at once)."""
    if protocol.protocol != "iid":
        return classes if protocol.protocol == "sequential" else 1
    return protocol.passes * -(-classes * images_per_class // protocol.images_per_step)
