"""When a plug-in acts: after every `n` updates, episodes or epochs, or after every `n` percent of the training."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from zapbench.strategies.base import EpisodicStrategy, updates_of
from zapbench.text import count

Unit = Literal["updates", "episodes", "epochs", "percent"]


@dataclass(frozen=True)
class Cadence:
    """An interval between actions. The first action is due after `every` units, never before the first update.

    Attributes:
        method: name of the method that uses it; errors begin with it.
        every: units between two actions, at least 1.
        unit: `updates`, `episodes` (outer steps of an episodic strategy such as ASB), `epochs` (of the experience) or
            `percent` (of all updates of the training).
    """

    method: str
    every: int
    unit: Unit = "updates"

    def __post_init__(self) -> None:
        """Checks `every` and `unit`.

        Raises:
            ValueError: one of them is not allowed.
        """
        if self.unit not in get_args(Unit):
            raise ValueError(f"{self.method}: unit is {self.unit!r}; allowed: {', '.join(get_args(Unit))}")
        if self.every < 1:
            raise ValueError(f"{self.method}: every is {self.every}; allowed: a whole number of at least 1")

    def is_due(self, strategy: Any) -> bool:
        """Returns whether the action is due before the current training iteration of an Avalanche strategy.

        Raises:
            ValueError: the unit is episodes, and the strategy does not train in episodes.
        """
        clock = strategy.clock
        self._check_unit(strategy)
        done = clock.train_iterations
        if self.unit == "percent":
            total = updates_of(strategy, len(strategy.experience.dataset))
            return bool(done and 100 * done // (self.every * total) > 100 * (done - 1) // (self.every * total))
        if self.unit == "epochs":
            done = clock.train_exp_epochs if clock.train_epoch_iterations == 0 else 0
        return bool(done and done % self.every == 0)

    def acts_in(self, *, updates: int, epochs: int) -> bool:
        """Returns whether the action is due at least once in a training of so many updates and epochs."""
        return self.every <= self.longest(updates=updates, epochs=epochs)

    def longest(self, *, updates: int, epochs: int) -> int:
        """Returns the longest interval that ends before the last update, or epoch, begins; 0 where none does."""
        if self.unit == "percent":
            return 100 * (updates - 1) // updates if updates else 0
        return max(0, (epochs if self.unit == "epochs" else updates) - 1)

    def _check_unit(self, strategy: Any) -> None:
        if self.unit == "episodes" and not isinstance(strategy, EpisodicStrategy):
            raise ValueError(
                f"{self.method}: unit is 'episodes', but {type(strategy).__name__} does not train in episodes"
            )


def refuse_idle(plugins: Iterable[Any], *, updates: int, epochs: int) -> None:
    """Refuses plug-ins that act at an interval, `plugin.cadence`, which the training is too short for.

    Raises:
        ValueError: one would never act.
    """
    for plugin in plugins:
        cadence = getattr(plugin, "cadence", None)
        if isinstance(cadence, Cadence) and not cadence.acts_in(updates=updates, epochs=epochs):
            longest = cadence.longest(updates=updates, epochs=epochs)
            unit = "updates" if cadence.unit == "percent" else cadence.unit
            length = count(epochs if unit == "epochs" else updates, unit.removesuffix("s"))
            allowed = f"allowed: 1 to {longest:,}" if longest else "no interval is short enough"
            raise ValueError(
                f"{cadence.method} would never act: every is {cadence.every} {cadence.unit}, and training takes "
                f"{length}; {allowed}"
            )
