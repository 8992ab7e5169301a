"""A scenario: decoded images, which classes are for what, and how many images a class are for what.

From it come, for a seed, a pre-training set and transfer trials. Everything is an index into one one-byte array,
so that images are decoded once and gathered in batches. Indices and labels are int64.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zapbench.seeding import numpy_generator

Indices = npt.NDArray[np.int64]
Role = Literal["report", "select"]
Augmentation = Callable[[Tensor], Tensor]
"""One-byte images `(n, channels, height, width)` on their device -> others of the same shape."""


@dataclass(frozen=True)
class Images:
    """Decoded images of a data set.

    Attributes:
        pixels: `(images, height, width)` or `(images, height, width, 3)`, uint8, what the network sees.
        labels: `(images,)` int64, the class of each image, `0..classes-1`.
        classes: the classes' names, in the order of their labels.
        digest: hex SHA-256 of the decoded original images and labels, before any resizing.
        groups: `(images,)` int64 or None; images of one group (say: one typeface) never stand on both sides of a
            split into train and held-out images.
    """

    pixels: npt.NDArray[np.uint8]
    labels: Indices
    classes: tuple[str, ...]
    digest: str
    groups: Indices | None = None


def digest(pixels: npt.NDArray[np.uint8], labels: Indices) -> str:
    """Returns the hex SHA-256 of decoded original images and their labels, in their order."""
    whole = hashlib.sha256(str(pixels.shape).encode())
    whole.update(np.ascontiguousarray(pixels).data)
    whole.update(np.ascontiguousarray(labels, dtype=np.int64).data)
    return whole.hexdigest()


class ImageTensor:
    """One-byte images on a device; calling it with indices gives normalised floats `(n, channels, h, w)`.

    Attributes:
        pixels: `(images, channels, height, width)`, uint8.
        dtype: floating type of what a call returns.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.uint8],
        *,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        # No copy where it can be helped: on the CPU all processes of a suite share the pages of one memory map.
        tensor = torch.from_numpy(pixels if pixels.flags.writeable else np.array(pixels))
        tensor = tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
        self.pixels = tensor.to(device)
        self.dtype = dtype
        self._mean = torch.tensor(mean or (0.0,), device=device, dtype=dtype).view(-1, 1, 1)
        self._std = torch.tensor(std or (1.0,), device=device, dtype=dtype).view(-1, 1, 1)

    def __call__(self, index: Tensor, augmentation: Augmentation | None = None) -> Tensor:
        """Returns images `index`, augmented, in [0, 1], then minus the mean over the standard deviation."""
        chosen = self.pixels[index.to(self.pixels.device)].contiguous()
        images = (chosen if augmentation is None else augmentation(chosen)).to(self.dtype).div_(255.0)
        return images.sub_(self._mean).div_(self._std)


@dataclass(frozen=True)
class Trial:
    """The draws of one transfer: the same for every method.

    Attributes:
        classes: `(classes,)` classes of the data set, in the order learned.
        labels: `(classes,)` their place in the whole transfer set: the head's outputs that stand for them.
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


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A data set under a protocol.

    Attributes:
        name: the scenario's name; with `version` part of the fingerprint.
        version: raised when anything that decides a score changes.
        images: the decoded data.
        pretrain_classes: classes to pre-train on, sorted.
        report_pool: classes that reported trials draw from.
        select_pool: classes that selection trials draw from; empty: they draw from `report_pool`.
        classes_per_trial: classes a reported trial.
        classes_per_selection_trial: classes a selection trial.
        pretrain_images: images a class to pre-train on.
        validation_images: images a class for validation accuracy.
        images_trained_on: images a class that transfer trains on.
        images_held_out: images a class that transfer is measured on.
        pretrain_outputs: outputs of the head in pre-training.
        transfer_outputs: outputs of the head in transfer.
        mean: a channel's mean, () for none.
        std: a channel's standard deviation, () for none.
        draws: `nested` draws other trials for every pre-training seed; `crossed`, the authors' scheme, one set of
            trials for all of them (intervals over pre-training seeds then cover too little).
        augmentation: changes each batch of images that is pre-trained on, on its device; validation and transfer see
            the images as they are. None for none.
    """

    name: str
    version: int
    images: Images = field(repr=False)
    pretrain_classes: tuple[int, ...] = field(repr=False)
    report_pool: tuple[int, ...] = field(repr=False)
    select_pool: tuple[int, ...] = field(repr=False)
    classes_per_trial: int
    classes_per_selection_trial: int
    pretrain_images: int
    validation_images: int
    images_trained_on: int
    images_held_out: int
    pretrain_outputs: int
    transfer_outputs: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    draws: Literal["nested", "crossed"] = "nested"
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        """Checks every size before anything is trained."""
        if self.draws not in ("nested", "crossed"):
            raise ValueError(f"{self.name}: draws is {self.draws!r}; allowed: nested, crossed")
        for name in (
            "classes_per_trial",
            "classes_per_selection_trial",
            "pretrain_images",
            "images_trained_on",
            "images_held_out",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{self.name}: {name} must be at least 1, got {getattr(self, name)}")
        if self.validation_images < 0:
            raise ValueError(f"{self.name}: validation_images must be at least 0, got {self.validation_images}")
        if not self.pretrain_classes:
            raise ValueError(f"{self.name}: there must be at least 1 pre-training class, got 0")
        if set(self.pretrain_classes) & set(self.transfer_classes):
            raise ValueError(f"{self.name}: pre-training and transfer classes overlap")
        if set(self.report_pool) & set(self.select_pool):
            raise ValueError(f"{self.name}: reported and selection classes overlap")
        _at_most(self, "classes_per_trial", len(self.report_pool), "classes in the pool of reported trials")
        pool = len(self.select_pool) or len(self.report_pool)
        _at_most(self, "classes_per_selection_trial", pool, "classes in the pool of selection trials")
        _at_least(self, "pretrain_outputs", len(self.pretrain_classes), "pre-training classes")
        _at_least(self, "transfer_outputs", len(self.transfer_classes), "transfer classes")
        self._check_images(self.pretrain_classes, self.pretrain_images + self.validation_images, "pre-training")
        self._check_images(self.transfer_classes, self.images_trained_on + self.images_held_out, "transfer")

    @cached_property
    def transfer_classes(self) -> tuple[int, ...]:
        """The whole transfer set, sorted; a class's place in it is its label in transfer."""
        return tuple(sorted(self.report_pool + self.select_pool))

    @property
    def size(self) -> int:
        """Height and width of an image in pixels."""
        return int(self.images.pixels.shape[1])

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return 1 if self.images.pixels.ndim == 3 else int(self.images.pixels.shape[3])

    def tensor(self, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ImageTensor:
        """Returns the images on a device."""
        return ImageTensor(self.images.pixels, mean=self.mean, std=self.std, device=device, dtype=dtype)

    def pretraining(self, seed: int) -> PretrainingSplit:
        """Returns the split of each pre-training class into train and validation images for a seed."""
        generator = numpy_generator("pretraining split", self.name, seed)
        sizes = (self.pretrain_images, self.validation_images)
        train, validation = self._split(self.pretrain_classes, sizes, generator)
        return PretrainingSplit(train, validation)

    def trial(self, pretrain_seed: int, transfer_seed: int, *, role: Role = "report") -> Trial:
        """Returns the classes, their order and their images of one trial.

        Draws depend on the scenario, the pre-training seed (where nested), the transfer seed and the role, and not on
        the method.
        """
        seeds = (pretrain_seed, transfer_seed) if self.draws == "nested" else (transfer_seed,)
        generator = numpy_generator(f"trial {role}", self.name, *seeds)
        select = role == "select"
        pool = self.select_pool if select and self.select_pool else self.report_pool
        count = self.classes_per_selection_trial if select else self.classes_per_trial
        classes = generator.permutation(np.array(pool, dtype=np.int64))[:count]
        train, held_out = self._split(classes, (self.images_trained_on, self.images_held_out), generator)
        labels = np.searchsorted(np.array(self.transfer_classes, dtype=np.int64), classes)
        return Trial(classes, labels.astype(np.int64), train, held_out)

    def pretraining_stream(self, seed: int = 0, *, classes_per_experience: int | None = None) -> Any:
        """Returns the pre-training classes as an Avalanche benchmark with `train_stream` and `test_stream`.

        Args:
            seed: draws which images of a class are held out, as `pretraining` does.
            classes_per_experience: None for one experience of all classes (i.i.d.); else class-incremental.
        """
        from zapbench.scenarios.streams import benchmark  # Avalanche takes seconds to import: only who asks waits

        split = self.pretraining(seed)
        sets = {"train": split.train, "test": split.validation}
        return benchmark(self.tensor(), sets, range(len(split.train)), classes_per_experience)

    def transfer_stream(
        self,
        seed: int = 0,
        *,
        pretrain_seed: int = 0,
        classes_per_experience: int | None = 1,
        validation_images: int = 0,
        role: Role = "report",
    ) -> Any:
        """Returns one trial as an Avalanche benchmark with `train_stream` and `test_stream`.

        Args:
            seed: the transfer seed: which classes, in which order, which images.
            pretrain_seed: the pre-training seed, of which trials depend where draws are nested.
            classes_per_experience: classes learned at once; None for one experience of all classes (i.i.d.).
            validation_images: images a class, of those trained on, that become a `valid_stream`.
            role: whether a reported or a selection trial.

        Raises:
            ValueError: a size does not fit.
        """
        from zapbench.scenarios.streams import stream_of

        trial = self.trial(pretrain_seed, seed, role=role)
        return stream_of(self.tensor(), trial, classes_per_experience, validation_images=validation_images)

    def facts(self) -> dict[str, Any]:
        """Returns the scenario's part of the fingerprint."""
        return {
            "scenario": self.name,
            "scenario_version": self.version,
            "data": self.images.digest,
            "pretrain_classes": self._list_of(self.pretrain_classes),
            "report_pool": self._list_of(self.report_pool),
            "select_pool": self._list_of(self.select_pool),
            "classes_per_trial": self.classes_per_trial,
            "images_trained_on": self.images_trained_on,
            "images_held_out": self.images_held_out,
        }

    def _list_of(self, classes: tuple[int, ...]) -> str:
        """Returns how many classes there are and a hash of their names: the lists themselves would weigh 40 kB."""
        names = "\n".join(self.images.classes[c] for c in classes)
        return f"{len(classes)} classes {hashlib.sha256(names.encode()).hexdigest()[:12]}"

    @cached_property
    def _images_of(self) -> list[Indices]:
        order = np.argsort(self.images.labels, kind="stable")
        counts = np.bincount(self.images.labels, minlength=len(self.images.classes))
        return np.split(order, np.cumsum(counts)[:-1])

    def _check_images(self, classes: Sequence[int], needed: int, what: str) -> None:
        for c in classes:
            if len(self._images_of[c]) < needed:
                raise ValueError(
                    f"{self.name}: {what} wants {needed} images a class, and class {self.images.classes[c]!r} has "
                    f"{len(self._images_of[c])}"
                )

    def _split(
        self, classes: Sequence[int] | Indices, sizes: tuple[int, int], generator: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """Splits each class's images at random into two parts of the given sizes."""
        if self.images.groups is not None:
            return self._split_by_group(classes, sizes, generator)
        chosen = np.stack([generator.permutation(self._images_of[c])[: sum(sizes)] for c in classes])
        return chosen[:, : sizes[0]], chosen[:, sizes[0] :]

    def _split_by_group(
        self, classes: Sequence[int] | Indices, sizes: tuple[int, int], generator: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """The same groups are held out for all classes of a draw, so that none is on both sides of it."""
        assert self.images.groups is not None
        groups = self.images.groups[self._images_of[int(classes[0])]]
        held_out: list[int] = []
        room = sizes[1]
        for group in generator.permutation(np.unique(groups)):
            if (count := int((groups == group).sum())) <= room:
                held_out.append(int(group))
                room -= count
        first, second = [], []
        for c in classes:
            images = generator.permutation(self._images_of[int(c)])
            out = np.isin(self.images.groups[images], held_out)
            first.append(images[~out][: sizes[0]])
            second.append(images[out][: sizes[1]])
        if any(len(part) < sizes[0] for part in first) or any(len(part) < sizes[1] for part in second):
            raise ValueError(f"{self.name}: the groups of images cannot be split into {sizes[0]} and {sizes[1]}")
        return np.stack(first), np.stack(second)


def _at_most(scenario: Scenario, name: str, limit: int, what: str) -> None:
    if getattr(scenario, name) > limit:
        raise ValueError(f"{scenario.name}: {name} is {getattr(scenario, name)}, and there are {limit} {what}")


def _at_least(scenario: Scenario, name: str, limit: int, what: str) -> None:
    if getattr(scenario, name) < limit:
        raise ValueError(f"{scenario.name}: {name} is {getattr(scenario, name)}, and there are {limit} {what}")
