"""Avalanche's view of a scenario: experiences that also carry an image source for batched gathers."""

from collections.abc import Callable
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline
from avalanche.benchmarks.utils import DataAttribute, as_classification_dataset
from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset
from torch import Tensor
from torch.utils.data import Dataset

from zapbench.scenarios.scenario import Indices, Trial

Source = Callable[[Tensor], Tensor]
"""Image indices `(n,)` -> what stands for those images, `(n, ...)`: an `ImageTensor`, or features of images."""


class Gathered(Dataset[tuple[Tensor, int]]):
    """Some images with labels, as a torch data set.

    Attributes:
        targets: the labels, as Avalanche wants them.
    """

    def __init__(self, images: Source, index: Indices, labels: Indices) -> None:
        self._images = images
        self._index = torch.from_numpy(index.copy())
        self.targets = [int(label) for label in labels]

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self._images(self._index[place : place + 1])[0], self.targets[place]

    def images(self, places: Tensor) -> Tensor:
        """Returns the images at `places`, gathered at once."""
        return self._images(self._index[places.cpu()])


def pretraining_experience(images: Source, index: Indices) -> Any:
    """Returns one Avalanche experience of all pre-training classes.

    Args:
        images: all images.
        index: `(classes, images a class)` image indices; a class's row is its label.
    """
    labels = torch.arange(len(index)).repeat_interleave(index.shape[1]).numpy()
    gathered = Gathered(images, index.reshape(-1), labels)
    benchmark = benchmark_from_datasets(train=[as_classification_dataset(gathered)])
    experience = benchmark.train_stream[0]
    experience.images = gathered.images
    return experience


def transfer_stream(images: Source, trial: Trial) -> Any:
    """Returns a trial as an Avalanche benchmark, one class an experience.

    All of it is one task (some plug-ins, LwF say, ask for task labels).

    Args:
        images: all images, or their features.
        trial: classes in the order learned; a label is the class's place in the whole transfer set.

    Returns:
        A benchmark with a `train_stream` of the images trained on and a `test_stream` of the held-out ones.
    """

    def experiences(index: Indices) -> list[Any]:
        return [_one_task(Gathered(images, own, label.repeat(len(own)))) for own, label in zip(index, trial.labels)]

    benchmark = benchmark_from_datasets(train=experiences(trial.train), test=experiences(trial.held_out))
    return with_classes_timeline(benchmark)


def _one_task(gathered: Gathered) -> Any:
    labels = DataAttribute(gathered.targets, "targets")
    tasks = DataAttribute([0] * len(gathered), "targets_task_labels", use_in_getitem=True)
    return TaskAwareSupervisedClassificationDataset([gathered], data_attributes=[labels, tasks])
