"""Scenarios as Avalanche benchmarks, whose experiences also give their images in batches."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline
from avalanche.benchmarks.utils import DataAttribute
from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset
from torch import Tensor
from torch.utils.data import Dataset

from zapbench.scenarios.image_tensor import Augmentation, ImageTensor
from zapbench.scenarios.images import Indices
from zapbench.scenarios.trial import Trial

Source = Callable[[Tensor], Tensor]
"""Image indices `(n,)` -> the images, or features of them, `(n, ...)`."""


class Gathered(Dataset[tuple[Tensor, int]]):
    """Some images with labels, as a torch data set.

    Attributes:
        targets: the labels, as Avalanche requires them.
    """

    def __init__(self, images: Source, index: Indices, labels: Indices) -> None:
        self._images = images
        self._index = torch.from_numpy(np.array(index))
        self.targets = [int(label) for label in labels]

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self._images(self._index[place : place + 1])[0], self.targets[place]

    def images(self, places: Tensor) -> Tensor:
        """Returns the images at `places`, `(n,)` positions in this data set, in one gather."""
        return self._images(self._index[places.cpu()])


def pretraining_experience(images: ImageTensor, index: Indices, augmentation: Augmentation | None = None) -> Any:
    """Returns one Avalanche experience of all pre-training classes.

    Args:
        images: all images.
        index: `(classes, images per class)` image indices; the label of a class is its row.
        augmentation: applied to each batch; None for no augmentation.
    """
    source = images if augmentation is None else functools.partial(images, augmentation=augmentation)
    return benchmark(source, {"train": index}, range(len(index)), None).train_stream[0]


def stream_of(
    images: Source, trial: Trial, classes_per_experience: int | None = 1, *, validation_images: int = 0
) -> Any:
    """Returns a trial as a class-incremental Avalanche benchmark, its classes in the trial's order.

    Args:
        images: all images, or their features.
        trial: the classes, their order and their images.
        classes_per_experience: classes learned at once (the last experience may have fewer); None for all.
        validation_images: images per class, the last of those trained on, that become a `valid_stream`.

    Raises:
        ValueError: a size does not fit.
    """
    trained_on = trial.train.shape[1]
    if not 0 <= validation_images < trained_on:
        raise ValueError(f"validation_images is {validation_images}; allowed: 0 to {trained_on - 1}")
    rest = trained_on - validation_images
    sets = {"train": trial.train[:, :rest], "test": trial.held_out}
    if validation_images:
        sets["valid"] = trial.train[:, rest:]
    return benchmark(images, sets, trial.labels, classes_per_experience)


def benchmark(
    images: Source,
    sets: Mapping[str, Indices],
    labels: Sequence[int] | Indices,
    classes_per_experience: int | None,
) -> Any:
    """Returns an Avalanche benchmark whose streams learn the same classes in the same order.

    Like Avalanche's `class_incremental_benchmark`, but labels need not be consecutive from 0: those of a trial are
    positions among all transfer classes. Each experience has a method `images` (see `Gathered`). All experiences are
    one task: some plug-ins, LwF for example, require task labels.

    Args:
        images: all images, or their features.
        sets: stream -> `(classes, images per class)` image indices.
        labels: `(classes,)` the label of each row.
        classes_per_experience: classes of an experience; None for all.

    Raises:
        ValueError: `classes_per_experience` is less than 1.
    """
    size = len(labels) if classes_per_experience is None else classes_per_experience
    if size < 1:
        raise ValueError(f"classes_per_experience must be at least 1, got {classes_per_experience}")
    every = np.asarray(labels, dtype=np.int64)

    def parts(index: Indices) -> list[Gathered]:
        return [
            Gathered(images, rows.reshape(-1), every[first : first + size].repeat(rows.shape[1]))
            for first in range(0, len(every), size)
            for rows in (index[first : first + size],)
        ]

    gathered = {name: parts(index) for name, index in sets.items()}
    found = benchmark_from_datasets(**{name: [_one_task(part) for part in own] for name, own in gathered.items()})
    found = with_classes_timeline(found)
    for name, own in gathered.items():
        for experience, part in zip(found.streams[name], own):
            experience.images = part.images
    return found


def _one_task(gathered: Gathered) -> Any:
    labels = DataAttribute(gathered.targets, "targets")
    tasks = DataAttribute([0] * len(gathered), "targets_task_labels", use_in_getitem=True)
    return TaskAwareSupervisedClassificationDataset([gathered], data_attributes=[labels, tasks])
