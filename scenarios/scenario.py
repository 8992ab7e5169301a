"""A scenario: decoded images, the role of each class, and how many images of a class each role gets.

From it come, for a seed, a pre-training set and transfer trials. Everything is an index into one uint8 array, so that
images are decoded once and gathered in batches. Indices and labels are int64.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from zapbench.scenarios.image_tensor import Augmentation, ImageTensor
from zapbench.scenarios.images import Images
from zapbench.scenarios.split import Splitter
from zapbench.scenarios.trial import PretrainingSplit, Role, Trial
from zapbench.seeding import numpy_generator

AT_LEAST_ONE = (
    "classes_per_trial",
    "classes_per_selection_trial",
    "pretrain_images",
    "images_trained_on",
    "images_held_out",
)

SHOWN = 3
"""Classes that a sentence names."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A data set under a protocol.

    Attributes:
        name: the scenario's name; with `version` part of the fingerprint.
        version: to be raised with any change that changes a score.
        images: the decoded data.
        pretrain_classes: classes to pre-train on, sorted.
        report_pool: classes that reported trials draw from.
        select_pool: classes that selection trials draw from; where it is empty they draw from `report_pool`.
        classes_per_trial: classes of a reported trial.
        classes_per_selection_trial: classes of a selection trial.
        pretrain_images: images per class to pre-train on.
        validation_images: images per class for the validation accuracy of pre-training.
        images_trained_on: images per class that transfer trains on.
        images_held_out: images per class that transfer is evaluated on.
        pretrain_outputs: outputs of the head in pre-training.
        transfer_outputs: outputs of the head in transfer.
        mean: mean of each channel, in [0, 1]; () for 0.
        std: standard deviation of each channel; () for 1.
        draws: `nested` draws different trials for every pre-training seed; `crossed`, the authors' scheme, draws one
            set of trials for all of them (confidence intervals over pre-training seeds are then too narrow).
        augmentation: applied to each batch of pre-training images, on their device, and neither to validation images
            nor in transfer; None for no augmentation.
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
        """Checks every size, so that no draw can fail later.

        Raises:
            ValueError: a size does not fit; says which.
        """
        if self.draws not in ("nested", "crossed"):
            raise ValueError(f"{self.name}: draws is {self.draws!r}; allowed: nested, crossed")
        for name in AT_LEAST_ONE:
            self._check_at_least(name, 1)
        self._check_at_least("validation_images", 0)
        if not self.pretrain_classes:
            raise ValueError(f"{self.name}: there must be at least 1 pre-training class, got 0")
        if set(self.pretrain_classes) & set(self.transfer_classes):
            raise ValueError(f"{self.name}: pre-training and transfer classes overlap")
        if set(self.report_pool) & set(self.select_pool):
            raise ValueError(f"{self.name}: reported and selection classes overlap")
        self._check_at_most("classes_per_trial", len(self.report_pool), "classes in the pool of reported trials")
        pool = len(self.select_pool) or len(self.report_pool)
        self._check_at_most("classes_per_selection_trial", pool, "classes in the pool of selection trials")
        self._check_outputs("pretrain_outputs", len(self.pretrain_classes), "pre-training classes")
        self._check_outputs("transfer_outputs", len(self.transfer_classes), "transfer classes")
        self._splitter.check(
            self.pretrain_classes, (self.pretrain_images, self.validation_images), f"{self.name}: pre-training"
        )
        self._splitter.check(
            self.transfer_classes, (self.images_trained_on, self.images_held_out), f"{self.name}: transfer"
        )

    @cached_property
    def transfer_classes(self) -> tuple[int, ...]:
        """All transfer classes, sorted; the position of a class in them is its label in transfer."""
        return tuple(sorted(self.report_pool + self.select_pool))

    @property
    def size(self) -> int:
        """Height and width of an image, in pixels."""
        return int(self.images.pixels.shape[1])

    @property
    def channels(self) -> int:
        """Channels of an image, 1 or 3."""
        return 1 if self.images.pixels.ndim == 3 else int(self.images.pixels.shape[3])

    def tensor(self, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ImageTensor:
        """Returns the images on a device."""
        return ImageTensor(self.images.pixels, mean=self.mean, std=self.std, device=device, dtype=dtype)

    def pretraining(self, seed: int) -> PretrainingSplit:
        """Returns the split of each pre-training class into train and validation images for a seed."""
        generator = numpy_generator("pretraining split", self.name, seed)
        sizes = (self.pretrain_images, self.validation_images)
        return PretrainingSplit(*self._splitter.split(self.pretrain_classes, sizes, generator))

    def trial(self, pretrain_seed: int, transfer_seed: int, *, role: Role = "report") -> Trial:
        """Returns the classes, their order and their images of one trial.

        They depend on the scenario, the pre-training seed (where draws are nested), the transfer seed and the role,
        and not on the method.
        """
        seeds = (pretrain_seed, transfer_seed) if self.draws == "nested" else (transfer_seed,)
        generator = numpy_generator(f"trial {role}", self.name, *seeds)
        select = role == "select"
        pool = self.select_pool if select and self.select_pool else self.report_pool
        count = self.classes_per_selection_trial if select else self.classes_per_trial
        classes = generator.permutation(np.array(pool, dtype=np.int64))[:count]
        train, held_out = self._splitter.split(classes, (self.images_trained_on, self.images_held_out), generator)
        labels = np.searchsorted(np.array(self.transfer_classes, dtype=np.int64), classes)
        return Trial(classes, labels.astype(np.int64), train, held_out)

    def pretraining_stream(self, seed: int = 0, *, classes_per_experience: int | None = None) -> Any:
        """Returns the pre-training classes as an Avalanche benchmark with `train_stream` and `test_stream`.

        Args:
            seed: draws which images of a class are validation images, as `pretraining` does.
            classes_per_experience: classes learned at once, class-incrementally; None for one experience of all
                classes (i.i.d.).
        """
        from zapbench.scenarios.streams import benchmark  # Avalanche takes seconds to import

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
            seed: the transfer seed; draws the classes, their order and their images.
            pretrain_seed: the pre-training seed, on which trials depend where draws are nested.
            classes_per_experience: classes learned at once; None for one experience of all classes (i.i.d.).
            validation_images: images per class, of those trained on, that become a `valid_stream`.
            role: a reported or a selection trial.

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

    def in_words(self) -> str:
        """Returns which classes and how many images have which role, in sentences."""

        def some(classes: tuple[int, ...]) -> str:
            names = [self.images.classes[c] for c in classes[:SHOWN]]
            return f"({', '.join(names)}{', ...' if len(classes) > SHOWN else ''})"

        select = f"{len(self.select_pool)} for selection trials {some(self.select_pool)}"
        pools = [
            f"{len(self.pretrain_classes)} classes to pre-train on {some(self.pretrain_classes)}",
            f"{len(self.report_pool)} for reported trials {some(self.report_pool)}",
            select if self.select_pool else "none for selection trials, which are other draws of the reported classes",
        ]
        return (
            f"{self.name}: {', '.join(pools)}. Images per class: {self.pretrain_images} to pre-train on and "
            f"{self.validation_images} to validate; in a trial {self.images_trained_on} trained on and "
            f"{self.images_held_out} held out. A reported trial has {self.classes_per_trial} classes, a selection "
            f"trial {self.classes_per_selection_trial}. Images are {self.size}x{self.size}, "
            f"{'grey' if self.channels == 1 else 'colour'}."
        )

    def _list_of(self, classes: tuple[int, ...]) -> str:
        """Returns the number of classes and a hash of their names; the names themselves would take 40 kB."""
        names = "\n".join(self.images.classes[c] for c in classes)
        return f"{len(classes)} classes {hashlib.sha256(names.encode()).hexdigest()[:12]}"

    @cached_property
    def _splitter(self) -> Splitter:
        return Splitter(self.images)

    def _check_at_least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise ValueError(f"{self.name}: {name} must be at least {least}, got {getattr(self, name)}")

    def _check_at_most(self, name: str, limit: int, what: str) -> None:
        if getattr(self, name) > limit:
            raise ValueError(f"{self.name}: {name} is {getattr(self, name)}, and there are {limit} {what}")

    def _check_outputs(self, name: str, classes: int, what: str) -> None:
        if getattr(self, name) < classes:
            raise ValueError(f"{self.name}: {name} is {getattr(self, name)}, and there are {classes} {what}")
