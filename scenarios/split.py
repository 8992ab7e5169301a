"""Random splits of each class's images into two parts: trained on and held out, or train and validation."""

from collections.abc import Sequence

import numpy as np

from zapbench.scenarios.images import Images, Indices


class Splitter:
    """Splits the images of classes; where images have groups, no group is in both parts of a draw.

    Attributes:
        images_of: class -> its image indices, in the order of the images.
    """

    def __init__(self, images: Images) -> None:
        order = np.argsort(images.labels, kind="stable")
        counts = np.bincount(images.labels, minlength=len(images.classes))
        self.images_of: list[Indices] = np.split(order, np.cumsum(counts)[:-1])
        self._classes = images.classes
        self._groups = images.groups

    def check(self, classes: Sequence[int], sizes: tuple[int, int], what: str) -> None:
        """Refuses sizes that some class cannot give, whatever the draw.

        Args:
            classes: classes of the data set.
            sizes: images per class of the first and of the second part.
            what: what the images are for, in words.

        Raises:
            ValueError: a class has too few images, or its groups cannot be split into these sizes.
        """
        for c in classes:
            own = self.images_of[c]
            if len(own) < sum(sizes):
                raise ValueError(
                    f"{what} needs {sum(sizes)} images per class, and class {self._classes[c]!r} has {len(own)}"
                )
        if self._groups is None:
            return
        counts = {c: np.unique(self._groups[self.images_of[c]], return_counts=True) for c in classes}
        first = counts[classes[0]]
        for c, found in counts.items():
            if not all(np.array_equal(a, b) for a, b in zip(first, found)):
                raise ValueError(
                    f"{what}: classes {self._classes[classes[0]]!r} and {self._classes[c]!r} differ in their groups; "
                    f"each class must have the same number of images of each group"
                )
        if _held_out_groups(first[1].tolist(), sizes) is None:
            raise ValueError(f"{what}: the groups of images cannot be split into {sizes[0]} and {sizes[1]} images")

    def split(
        self, classes: Sequence[int] | Indices, sizes: tuple[int, int], generator: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """Returns two parts, `(classes, sizes[0])` and `(classes, sizes[1])` image indices, disjoint.

        `check` has accepted the sizes.
        """
        if self._groups is not None:
            return self._by_group(self._groups, classes, sizes, generator)
        chosen = np.stack([generator.permutation(self.images_of[c])[: sum(sizes)] for c in classes])
        return chosen[:, : sizes[0]], chosen[:, sizes[0] :]

    def _by_group(
        self, groups: Indices, classes: Sequence[int] | Indices, sizes: tuple[int, int], generator: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """Splits so that the same groups are held out for all classes of a draw."""
        own = groups[self.images_of[int(classes[0])]]
        order = generator.permutation(np.unique(own))
        chosen = _held_out_groups([int((own == group).sum()) for group in order], sizes)
        assert chosen is not None, "sizes were not checked"
        held_out = np.isin(groups, order[chosen])
        first, second = [], []
        for c in classes:
            images = generator.permutation(self.images_of[int(c)])
            out = held_out[images]
            first.append(images[~out][: sizes[0]])
            second.append(images[out][: sizes[1]])
        return np.stack(first), np.stack(second)


def _held_out_groups(counts: Sequence[int], sizes: tuple[int, int]) -> list[int] | None:
    """Returns positions of groups that have `sizes[1]` images, or as few more as possible; None where none do.

    Of several choices it is the one that takes each group as early as possible.

    Args:
        counts: images of each group.
        sizes: images that the other groups must have at least, and that these must have at least.

    >>> _held_out_groups([1, 2, 1, 1, 1, 2], (3, 5))
    [0, 1, 2, 3]
    >>> _held_out_groups([1, 1, 1, 1, 2], (1, 5))
    [0, 1, 2, 4]
    >>> _held_out_groups([3, 3], (1, 4))
    """
    sums = [{0}]  # of the groups from the last one on
    for count in reversed(counts):
        sums.append(sums[-1] | {total + count for total in sums[-1]})
    sums.reverse()
    possible = [total for total in sums[0] if sizes[1] <= total <= sum(counts) - sizes[0]]
    if not possible:
        return None
    room, chosen = min(possible), []
    for place, count in enumerate(counts):
        if room - count in sums[place + 1]:
            chosen.append(place)
            room -= count
    return chosen
