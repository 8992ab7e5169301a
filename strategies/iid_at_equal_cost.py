"""I.i.d. pre-training that takes as many gradient steps, or as many images, as ASB does."""

from typing import Any, Literal, get_args

import gin

from zapbench.strategies.iid import IID

Unit = Literal["steps", "images"]


def equal_epochs(
    unit: Unit, images: int, batch_size: int, *, episodes: int, inner_images: int, random_images: int
) -> int:
    """Returns the epochs after which i.i.d. training has cost at least as much as episodes of ASB.

    An episode is `inner_images` steps of one image, and a step on these and `random_images` others (Frati et al. 2024,
    Algorithm 1).

    >>> equal_epochs("steps", 1500, 256, episodes=2000, inner_images=20, random_images=64)
    7000
    >>> equal_epochs("images", 1500, 256, episodes=2000, inner_images=20, random_images=64)
    139

    Args:
        unit: of what there is as much.
        images: of an epoch.
        batch_size: images per step.
        episodes: of ASB.
        inner_images: of an episode.
        random_images: of an episode.
    """
    if unit == "steps":
        return -(-episodes * (inner_images + 1) // -(-images // batch_size))
    return -(-episodes * (2 * inner_images + random_images) // images)


@gin.register
class IIDAtEqualCost(IID):
    """Trains for the number of epochs at which it has cost as much as ASB, rounded up.

    Args:
        unit: what is equal: `steps` or `images`.
        episodes: of ASB, usually `%ASB_EPISODES`.
        inner_images: images of an episode's class, usually `%K`.
        random_images: random images of an episode, usually `%R`.
        kwargs: of `IID`, without `epochs`.

    Raises:
        ValueError: a number or the unit is not allowed.
    """

    def __init__(self, *, unit: Unit, episodes: int, inner_images: int, random_images: int, **kwargs: Any) -> None:
        if unit not in get_args(Unit):
            raise ValueError(f"IIDAtEqualCost: unit is {unit!r}; allowed: {', '.join(get_args(Unit))}")
        for name, value, least in (
            ("episodes", episodes, 1),
            ("inner_images", inner_images, 1),
            ("random_images", random_images, 0),
        ):
            if value < least:
                raise ValueError(f"IIDAtEqualCost: {name} must be at least {least}, got {value}")
        super().__init__(epochs=1, **kwargs)
        self.unit: Unit = unit
        self.episode = {"episodes": episodes, "inner_images": inner_images, "random_images": random_images}

    def epochs(self, images: int) -> int:
        """Returns the passes over so many images."""
        return equal_epochs(self.unit, images, self.train_mb_size, **self.episode)

    def updates(self, images: int) -> int:
        """Returns the number of updates that training on so many images takes."""
        return self.epochs(images) * int(-(-images // self.train_mb_size))

    def effort(self, images: int) -> tuple[int, int]:
        """Returns the images that training takes, repeats counted, and its gradient steps."""
        return self.epochs(images) * images, self.updates(images)

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Readies the images and sets the number of epochs, before the first one."""
        super().make_train_dataloader(**kwargs)
        self.train_epochs = self.epochs(len(self._labels))
