"""Reptile: train on a task, then move the weights part of the way to the result (first-order meta-learning).

Nichol, Achiam, Schulman, *On First-Order Meta-Learning Algorithms* (2018): phi <- phi + epsilon * (U(phi) - phi), U
being k steps on a task. In the authors' code (`openai/supervised-reptile`), `reptile.py` draws a task's mini-batches by
shuffling its images, splitting them, and shuffling again when they are used up; its README lists the paper's runs.

Mapping to an episode of Frati et al.'s Algorithm 1: the task is the episode's outer batch, K images of one class and R
of all classes, with their labels (the authors' tasks have a few classes with labels 0 to N-1 and equally many images of
each). There is no single-image loop and no outer batch besides the task. A zap changes phi before the task, as in
Meta-ASB.

Four steps on 25 images, plain SGD, epsilon annealed linearly from 0.25 to 0, one task per update: the run with four
gradients under "Comparing different inner-loop gradient combinations" of the README. Unverified: the inner rate (0.0003
in that run; scenarios bind 0.1, for single images), and tasks of K + R images.
"""

from typing import Any

import gin
import torch
from torch import Tensor, nn
from torch.func import functional_call

from zapbench.seeding import torch_generator
from zapbench.strategies.episodic import Episodic

Weights = dict[str, Tensor]


def mini_batches(images: int, *, steps: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Returns `steps` mini-batches of `(size,)` indices into `images` images; no index repeats before all are used."""
    rounds = -(-steps * size // images)
    order = torch.cat([torch.randperm(images, generator=generator) for _ in range(rounds)])
    return list(order[: steps * size].split(size))


def adapted(
    model: nn.Module, images: Tensor, labels: Tensor, batches: list[Tensor], *, criterion: nn.Module, lr: float
) -> Weights:
    """Returns U(phi): the weights after one step of plain SGD per batch. The model's own weights do not change.

    Args:
        model: its weights are phi.
        images: `(images, ...)` of a task.
        labels: `(images,)`.
        batches: indices of images, one tensor per step.
        criterion: (logits, labels) -> loss.
        lr: learning rate of the steps.
    """
    weights: Weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    for batch in batches:
        weights = {name: w.requires_grad_() for name, w in weights.items()}
        loss = criterion(functional_call(model, weights, (images[batch],)), labels[batch])
        gradients = torch.autograd.grad(loss, list(weights.values()))
        weights = {name: w.detach() - lr * g for (name, w), g in zip(weights.items(), gradients)}
    return weights


@gin.register
class Reptile(Episodic):
    """Reptile with one episode per task. The outer optimiser's gradient is phi - U(phi), so SGD's rate is epsilon.

    The recorded loss and accuracy are those of U(phi) on the task. Every forward pass updates batch norm's running
    statistics. The inner rate and the tasks are unverified. See `Episodic` for the hooks.

    Attributes:
        inner_steps: k, mini-batches per task.
        inner_batch: images per mini-batch.
        anneal: whether the outer rate falls linearly to 0 over the episodes.
    """

    def __init__(self, *, inner_steps: int = 4, inner_batch: int = 25, anneal: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in (("inner_steps", inner_steps), ("inner_batch", inner_batch)):
            if value < 1:
                raise ValueError(f"{type(self).__name__}: {name} must be at least 1, got {value}")
        self.inner_steps = inner_steps
        self.inner_batch = inner_batch
        self.anneal = anneal
        self.fast = False  # `ManualGradients.descend` steps on single images

    def effort(self, images: int) -> tuple[int, int]:
        """Returns images seen and gradient steps of all episodes (see `base.CountsEffort`)."""
        steps = self.episodes * self.inner_steps
        return steps * self.inner_batch, steps

    def _inner_updates(self, **kwargs: Any) -> None:
        generator = torch_generator("reptile", self.seed, self.clock.train_iterations)
        batches = mini_batches(len(self.mb_x), steps=self.inner_steps, size=self.inner_batch, generator=generator)
        indices = [batch.to(self.device) for batch in batches]
        self._adapted = adapted(self.model, self.mb_x, self.mb_y, indices, criterion=self._criterion, lr=self.inner_lr)

    def _outer_update(self, **kwargs: Any) -> None:
        with torch.no_grad():
            self.mb_output = functional_call(self.model, self._adapted, (self.mb_x,))
            self.loss = self.criterion()
        named = dict(self.model.named_parameters())
        self.optimizer.zero_grad()
        for name, weight in self._adapted.items():
            named[name].grad = named[name].detach() - weight
        left = 1 - self.clock.train_iterations / self.episodes if self.anneal else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * left
        self.optimizer.step()
        self._adapted = {}
