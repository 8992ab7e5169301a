"""When a plug-in acts: every so many updates, episodes or epochs."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

Unit = Literal["updates", "episodes", "epochs"]


@dataclass(frozen=True)
class Cadence:
    """A cadence; it is first due after `every` units, never before the first update.

    Attributes:
        method: whose it is; errors begin with it.
        every: units between two times, at least 1.
        unit: `updates`, `episodes` (an episode of ASB, say, is one outer step) or `epochs` (of the experience).
    """

    method: str
    every: int
    unit: Unit = "updates"

    def __post_init__(self) -> None:
        """Checks both.

        Raises:
            ValueError: one is not allowed.
        """
        if self.unit not in get_args(Unit):
            raise ValueError(f"{self.method}: unit is {self.unit!r}; allowed: {', '.join(get_args(Unit))}")
        if self.every < 1:
            raise ValueError(f"{self.method}: every is {self.every}; allowed: a whole number of at least 1")

    def is_due(self, strategy: Any) -> bool:
        """Returns whether it is time, asked before a training iteration of an Avalanche strategy.

        Raises:
            ValueError: the unit is episodes, and the strategy has none.
        """
        clock = strategy.clock
        if self.unit == "epochs":
            done = clock.train_exp_epochs if clock.train_epoch_iterations == 0 else 0
        elif self.unit == "episodes" and not hasattr(strategy, "episode_class"):
            raise ValueError(f"{self.method}: the unit is episodes, and {type(strategy).__name__} has none")
        else:
            done = clock.train_iterations
        return bool(done and done % self.every == 0)
