"""The episode loop of Algorithm 1, which ASB, Meta-ASB and strategies built on them share.

Avalanche's meta-learning template makes one inner and one outer update per mini-batch; here a training iteration is an
episode, with the template's hooks around its parts. The template's extra forward pass after the outer update is not
made.
"""

from typing import Any

import torch
from avalanche.core import SupervisedMetaLearningPlugin
from avalanche.training.templates import SupervisedMetaLearningTemplate
from torch import Tensor

from zapbench.networks.cuda_graphs import CudaGraph, reason_against_graphs
from zapbench.networks.gradients import manual_gradients
from zapbench.networks.manual_gradients import ManualGradients, is_mean_cross_entropy
from zapbench.strategies.data import images_of
from zapbench.strategies.episodes import EpisodeSampler


class Episodic(SupervisedMetaLearningTemplate):
    """Base of episodic strategies: a subclass says what `_inner_updates` and `_outer_update` do.

    While an episode runs, `episode_class` is its class, `inner_x` `(K, ...)` and `inner_y` `(K,)` its K images and
    labels, and `mbatch` its outer batch; after the outer update `mb_output` are the outer batch's logits.

    Attributes:
        episodes: outer steps.
        first_update: episodes that were done before (when training continues from a checkpoint).
        fast: whether gradients are computed without autograd where that is faster here (on a GPU: as CUDA graphs), and
            what an inner loop does not move once an episode; the plain loop agrees to rounding.
    """

    PLUGIN_CLASS = SupervisedMetaLearningPlugin

    def __init__(
        self,
        *,
        inner_lr: float,
        episodes: int,
        inner_images: int = 20,
        random_images: int = 64,
        seed: int = 0,
        fast: bool = True,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        if not inner_lr > 0:
            raise ValueError(f"{name}: inner_lr must be above 0, got {inner_lr}")
        if episodes < 1:
            raise ValueError(f"{name}: episodes must be at least 1, got {episodes}")
        if inner_images < 1:
            raise ValueError(f"{name}: inner_images (K) must be at least 1, got {inner_images}")
        if random_images < 0:
            raise ValueError(f"{name}: random_images (R) must be at least 0, got {random_images}")
        super().__init__(train_epochs=1, train_mb_size=1, **kwargs)
        self.inner_lr = inner_lr
        self.episodes = episodes
        self.inner_images = inner_images
        self.random_images = random_images
        self.seed = seed
        self.fast = fast
        self.first_update = 0

    def updates(self, images: int) -> int:
        """Returns the number of outer steps, whatever the number of images."""
        return self.episodes

    def effort(self, images: int) -> tuple[int, int]:
        """Returns the images that training takes, repeats counted, and its gradient steps."""
        outer = self.inner_images + self.random_images
        return self.episodes * (self.inner_images + outer), self.episodes * (self.inner_images + 1)

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Readies the images and the sampler of episodes."""
        self._source, labels = images_of(self.experience)
        self._labels = labels.to(self.device)
        self._sampler = EpisodeSampler(labels, inner=self.inner_images, random=self.random_images, seed=self.seed)

    def training_epoch(self, **kwargs: Any) -> None:
        """Runs the episodes."""
        fast = self.fast and is_mean_cross_entropy(self._criterion)
        self._net = self._manual_gradients(fast=fast)
        self._graphs = self._cuda_graphs() if fast and not reason_against_graphs(self.model) else ()
        for number in range(self.first_update, self.episodes):
            if self._stop_training:
                break
            self._load(number)
            self._before_training_iteration(**kwargs)
            self.loss = self._make_empty_loss()
            self._before_inner_updates(**kwargs)
            self._inner_updates(**kwargs)
            self._after_inner_updates(**kwargs)
            self._before_outer_update(**kwargs)
            self._outer_update(**kwargs)
            self._after_outer_update(**kwargs)
            self._after_training_iteration(**kwargs)
        if self._net is not None:
            self._net.release()

    def _manual_gradients(self, *, fast: bool) -> ManualGradients | None:
        return manual_gradients(self.model, 1, self.inner_images + self.random_images, fast=fast)

    def _cuda_graphs(self) -> tuple[CudaGraph, ...]:
        """Returns the graphs of an episode's parts on a GPU; none where operations are launched one by one."""
        return ()

    def _parameters(self) -> list[Tensor]:
        return list(self.model.parameters())

    def _load(self, number: int) -> None:
        episode = self._sampler(number)
        self.episode_class = episode.label
        index = episode.outer.to(self.device)
        images: Tensor = self._source(index)
        labels = self._labels[index]
        self.inner_x, self.inner_y = images[: self.inner_images], labels[: self.inner_images]
        self.mbatch = [images, labels, torch.zeros_like(labels)]
