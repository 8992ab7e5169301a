"""Avalanche's view of a scenario: experiences that also carry an image source for batched gathers."""

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

from zapbench.scenarios.scenario import Augmentation, ImageTensor, Indices, Trial

Source = Callable[[Tensor], Tensor]
"""Image indices `(n,)` -> what stands for those images, `(n, ...)`: an `ImageTensor`, or features of images."""


class Gathered(Dataset[tuple[Tensor, int]]):
    """Some images with labels, as a torch data set.

    Attributes:
        targets: the labels, as Avalanche wants them.
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
        """Returns the images at `places`, gathered at once."""
        return self._images(self._index[places.cpu()])


def pretraining_experience(images: ImageTensor, index: Indices, augmentation: Augmentation | None = None) -> Any:
    """Returns one Avalanche experience of all pre-training classes.

    Args:
        images: all images.
        index: `(classes, images a class)` image indices; a class's row is its label.
        augmentation: changes each batch; None for none.
    """
    source = images if augmentation is None else functools.partial(images, augmentation=augmentation)
    return benchmark(source, {"train": index}, range(len(index)), None).train_stream[0]


def stream_of(
    images: Source, trial: Trial, classes_per_experience: int | None = 1, *, validation_images: int = 0
) -> Any:
    """Returns a trial as a class-incremental Avalanche benchmark, its classes in the trial's order.

    Args:
        images: all images, or their features.
        trial: classes in the order learned; a label is the class's place in the whole transfer set.
        classes_per_experience: classes learned at once (the last experience may have fewer); None for all.
        validation_images: images a class, the last of those trained on, that become a `valid_stream`.

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

    As `class_incremental_benchmark` makes it, which wants all labels from 0 on: a trial's are places in the whole
    transfer set. Each experience has `images`: its images at some places, gathered at once. All of it is one task
    (some plug-ins, LwF say, ask for task labels).

    Args:
        images: all images, or their features.
        sets: stream -> `(classes, images a class)` image indices.
        labels: `(classes,)` the label of each row.
        classes_per_experience: rows an experience; None for all.

    Raises:
        ValueError: there is no class in an experience.
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
