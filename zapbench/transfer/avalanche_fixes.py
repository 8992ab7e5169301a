"""Fixes of contenders of Avalanche 0.6.0 that do not work as their papers describe; each says what was wrong.

A plug-in with Avalanche's own name replaces it in .gin files: `@transfer/AGEMPlugin()` is the one below.
`GDumbWhenAsked`, `CumulativeInBatches` and `JointInBatches` have names of their own, because their settings differ.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

import avalanche.training.plugins as plugins
import gin
import torch
from avalanche.training.supervised import Cumulative
from torch import Tensor, nn

CLIP = 0.001
"""The largest importance of synaptic intelligence (Avalanche's value)."""


@gin.register
class SynapticIntelligencePlugin(plugins.SynapticIntelligencePlugin):
    """Synaptic intelligence (Zenke et al. 2017): a penalty on changes, weighted by each weight's effect on the loss.

    Avalanche's has no effect on a CPU: it keeps views of the weights instead of copies, so that no weight appears to
    change, and every importance is 0. This one keeps copies. An importance is in [0, CLIP]; Avalanche's may be
    negative, which would push weights away. The strength is unverified.

    Args:
        si_lambda: strength, at least 0.
        eps: damping of the squared change, above 0.
        excluded_parameters: names of weights without a penalty; `*` matches any name.
    """

    def __init__(self, si_lambda: float, eps: float = 1e-7, excluded_parameters: Sequence[str] | None = None) -> None:
        super().__init__(si_lambda, eps, excluded_parameters)
        self.strength = si_lambda
        self.importance: dict[str, Tensor] = {}
        self._summed: dict[str, Tensor] = {}
        self._effect: dict[str, Tensor] = {}
        self._anchor: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Starts to sum each weight's effect, from the current weights."""
        self._weights = dict(self.allowed_parameters(strategy.model, self.excluded_parameters))
        self._anchor = self._copies()
        self._effect = {name: torch.zeros_like(weight) for name, weight in self._anchor.items()}

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the weights before the step."""
        self._before = self._copies()

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Adds the penalty."""
        for name, importance in self.importance.items():
            strategy.loss += self.strength / 2 * (importance * (self._weights[name] - self._anchor[name]) ** 2).sum()

    @torch.no_grad()
    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Adds the step's effect on the loss: gradient times change."""
        for name, weight in self._weights.items():
            if weight.grad is not None:
                self._effect[name] += weight.grad * (weight - self._before[name])

    @torch.no_grad()
    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Computes importances: the effect of the steps over the squared change from the first to the last."""
        for name, weight in self._weights.items():
            moved = (weight - self._anchor[name]) ** 2
            self._summed[name] = self._summed.get(name, 0) - self._effect[name] / (moved + self.eps)
            self.importance[name] = self._summed[name].clamp(0, CLIP)

    def _copies(self) -> dict[str, Tensor]:
        return {name: weight.detach().clone() for name, weight in self._weights.items()}


@gin.register
class MASPlugin(plugins.MASPlugin):
    """Memory aware synapses (Aljundi et al. 2018): a penalty on changes, weighted by each weight's effect on outputs.

    Avalanche's raises `Loss is not available` where a loss is exactly 0, which happens for an image that is learned
    well. The numbers are unverified: an old class's importance is halved with every new class.
    """

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Adds the penalty."""
        for name, weight in strategy.model.named_parameters():
            if self.importance and name in self.importance:
                away = (weight - self.params[name].data) ** 2
                strategy.loss += self._lambda * (self.importance[name].data * away).sum()


@gin.register
class AGEMPlugin(plugins.AGEMPlugin):
    """A-GEM (Chaudhry et al. 2019): a step never opposes the gradient of a sample of earlier images.

    Avalanche's takes `sample_size // experiences` images of each earlier experience. It fails where this is 0, and
    builds all its data loaders again with every class. This one draws `sample_size` of all remembered images. The sizes
    are unverified.
    """

    _images: Tensor
    _labels: Tensor

    @torch.no_grad()
    def update_memory(self, dataset: Any, num_workers: int = 0, **kwargs: Any) -> None:
        """Keeps images of the experience, at random where it has more than are kept."""
        places = random.sample(range(len(dataset)), min(len(dataset), self.patterns_per_experience))
        images, labels = _gather(dataset, places)
        if self.buffers:
            images, labels = torch.cat([self._images, images]), torch.cat([self._labels, labels])
        self._images, self._labels = images, labels
        self.buffers.append(dataset)

    def sample_from_memory(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns remembered images, their labels and (all 0) tasks."""
        drawn = torch.randperm(len(self._labels))[: self.sample_size]
        return self._images[drawn], self._labels[drawn], torch.zeros_like(drawn)


@gin.register
class GDumbWhenAsked(plugins.GDumbPlugin):
    """GDumb (Prabhu et al. 2020): a balanced memory, and a model that is trained on it from the start when measured.

    Avalanche's trains from the start after every class, measured or not, one image at a time in one pass over the
    memory. This one has batches and epochs of its own, and trains only after the classes at which it is measured. The
    numbers are unverified: the paper trains for many more epochs, with augmentation.

    Args:
        mem_size: images in the memory.
        epochs: passes over the memory.
        batch_size: images per step.
    """

    def __init__(self, *, mem_size: int = 500, epochs: int = 10, batch_size: int = 16) -> None:
        super().__init__(mem_size)
        for name, value in (("mem_size", mem_size), ("epochs", epochs), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"GDumbWhenAsked: {name} must be at least 1, got {value}")
        self.epochs = epochs
        self.batch_size = batch_size
        self._first: dict[str, Tensor] = {}

    def before_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Restores the initial model and clears the optimiser's moments."""
        if self._first:
            strategy.model.load_state_dict(self._first)
            strategy.optimizer.state.clear()
        else:
            self._first = copy.deepcopy(strategy.model.state_dict())

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Trains on the memory instead of the experience; orders are drawn whether or not it is trained on."""
        memory = strategy.adapted_dataset
        orders = [torch.randperm(len(memory)) for _ in range(self.epochs)]
        strategy.dataloader = ()
        if getattr(strategy, "is_measured", True):
            strategy.dataloader = list(_batches(*_gather(memory, range(len(memory))), orders, self.batch_size))

    def before_eval_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: Avalanche's would evaluate another model."""


@gin.register
class CumulativeInBatches(Cumulative):
    """Training on all classes so far with every class: an upper bound, because every image is seen again.

    Avalanche's makes one step per image: 75,750 steps for 100 classes of 15 images. This one makes one pass in shuffled
    batches. The size of a batch is unverified: it is ours.

    Args:
        batch_size: images per step.
        kwargs: Avalanche's.
    """

    def __init__(self, *, batch_size: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if batch_size < 1:
            raise ValueError(f"CumulativeInBatches: batch_size must be at least 1, got {batch_size}")
        self.batch_size = batch_size
        self._images: list[Tensor] = []
        self._labels: list[Tensor] = []

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        """Adds the experience's images to all before them."""
        self.adapted_dataset = self.experience.dataset
        images, labels = _gather(self.adapted_dataset, range(len(self.adapted_dataset)))
        self._images.append(images)
        self._labels.append(labels)

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Makes the batches of one pass, the same in every pass."""
        images, labels = torch.cat(self._images), torch.cat(self._labels)
        self.dataloader = list(_batches(images, labels, [torch.randperm(len(labels))], self.batch_size))


@gin.register
class JointInBatches(CumulativeInBatches):
    """Joint training on all classes so far, from the start and for many epochs: an upper bound.

    It trains only after the classes at which it is measured: after the last, unless the protocol has more points. It
    sees every class equally often, while `CumulativeInBatches` sees early classes more often than late ones. It has
    converged where the accuracy on the images trained on is near 1. The numbers of epochs and images are unverified.

    Args:
        epochs: passes over all images so far.
        batch_size: images per step.
        kwargs: Avalanche's.
    """

    def __init__(self, *, epochs: int = 50, batch_size: int = 64, **kwargs: Any) -> None:
        super().__init__(batch_size=batch_size, **kwargs)
        if epochs < 1:
            raise ValueError(f"JointInBatches: epochs must be at least 1, got {epochs}")
        self.epochs = epochs
        self._first: dict[str, Tensor] = {}

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Restores the initial model and optimiser and makes the batches of all epochs; none where not measured."""
        self._first = self._first or copy.deepcopy(self.model.state_dict())
        images, labels = torch.cat(self._images), torch.cat(self._labels)
        orders = [torch.randperm(len(labels)) for _ in range(self.epochs)]  # drawn whether or not they are used
        self.dataloader = []
        if getattr(self, "is_measured", True):
            self.model.load_state_dict(self._first)
            self.optimizer.state.clear()
            self.dataloader = list(_batches(images, labels, orders, self.batch_size))


def _gather(dataset: Any, places: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns images of a data set by their indices, and their labels."""
    found = [dataset[place] for place in places]
    return torch.stack([one[0] for one in found]), torch.tensor([int(one[1]) for one in found])


def _batches(images: Tensor, labels: Tensor, orders: Sequence[Tensor], size: int) -> Iterator[list[Tensor]]:
    """Yields mini-batches in the form of Avalanche's loaders: images, labels, tasks."""
    for order in orders:
        for places in order.split(size):
            yield [images[places], labels[places], torch.zeros_like(places)]


def stay_in_eval_mode(module: nn.Module, inputs: Any) -> None:
    """Sets a module to eval mode before it computes, whatever mode a plug-in has set: a forward pre-hook."""
    if module.training:
        module.eval()
