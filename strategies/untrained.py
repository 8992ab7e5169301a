"""No pre-training: the network as it was initialised, the floor of every table."""

from typing import Any

import gin
from avalanche.training.templates import SupervisedTemplate


@gin.register
class Untrained(SupervisedTemplate):
    """Makes no update; its run has a record and a checkpoint like every other."""

    def updates(self, images: int) -> int:
        """Returns 0, whatever the number of images."""
        return 0

    def effort(self, images: int) -> tuple[int, int]:
        """Returns that training takes no image and no gradient step."""
        return 0, 0

    def train(self, experiences: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        """Does nothing."""
