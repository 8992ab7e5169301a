"""Reptile: train on a task, then move a part of the way to where that led (first order).

Nichol, Achiam, Schulman, *On First-Order Meta-Learning Algorithms* (2018): phi <- phi + epsilon * (U(phi) - phi), U
being k steps on a task. The authors' code (`openai/supervised-reptile`): `reptile.py` draws a task's mini-batches by
shuffling its images, cutting them, and shuffling again where they run out; its README gives the runs of the paper.

How it maps to an episode of Frati et al.'s Algorithm 1: the task is the episode's outer batch, the K images of a class
and R of all classes, each with its own label (theirs has a few classes under labels of its own, and as many images of
each). There is no single-image loop and no outer batch apart from the task; a zap comes before phi, as in Meta-ASB.

Four steps on 25 images, plain SGD, epsilon 0.25 falling to 0, a task at a time: the README's "Comparing different
inner-loop gradient combinations", its run of four gradients. Unverified: the inner rate (theirs is 0.0003 there, 0.1 is
what scenarios bind for single images), and tasks of K + R images.
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
    """Returns `steps` mini-batches, `(size,)` places of `images` images: no image twice before each was there once."""
    rounds = -(-steps * size // images)
    order = torch.cat([torch.randperm(images, generator=generator) for _ in range(rounds)])
    return list(order[: steps * size].split(size))


def adapted(
    model: nn.Module, images: Tensor, labels: Tensor, batches: list[Tensor], *, criterion: nn.Module, lr: float
) -> Weights:
    """Returns U(phi): the weights after a step of plain SGD a batch; the model's own stay as they are.

    Args:
        model: holds phi.
        images: of a task.
        labels: of its images.
        batches: places of images and labels.
        criterion: (logits, labels) -> loss.
        lr: of the steps.
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
    """An episode is a task; the outer optimiser steps along phi - U(phi), so that plain SGD's rate is epsilon.

    The recorded loss and accuracy are of U(phi) on the task. Batch norm's running statistics are filled in every
    forward pass. The inner rate and the tasks are unverified. See `Episodic` for the hooks.

    Attributes:
        inner_steps: k, mini-batches a task.
        inner_batch: images a mini-batch.
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
        """Returns the images that training takes, repeats counted, and its gradient steps."""
        steps = self.episodes * self.inner_steps
        return steps * self.inner_batch, steps

    def _inner_updates(self, **kwargs: Any) -> None:
        generator = torch_generator("reptile", self.seed, self.clock.train_iterations)
        batches = mini_batches(len(self.mb_x), steps=self.inner_steps, size=self.inner_batch, generator=generator)
        places = [batch.to(self.device) for batch in batches]
        self._adapted = adapted(self.model, self.mb_x, self.mb_y, places, criterion=self._criterion, lr=self.inner_lr)

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
