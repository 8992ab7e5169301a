"""Gradients of the training images at fixed weights, for methods that decide by them what to change."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from zapbench.strategies.data import images_of


def gradients_by_batch(strategy: Any, *, batch_size: int, most: int | None = None) -> Iterator[dict[str, Tensor]]:
    """Yields the loss's gradient of one batch of training images after another, in the experience's order.

    The model's weights, their gradients and its running statistics do not change.

    Args:
        strategy: an Avalanche strategy in training.
        batch_size: images per batch; the last one may be smaller.
        most: number of batches at most; None for one pass over all images.
    """
    source, labels = images_of(strategy.experience)
    model = strategy.model
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    for index in torch.arange(len(labels)).split(batch_size)[:most]:
        buffers = {name: value.clone() for name, value in model.named_buffers()}
        images = source(index).to(strategy.device)
        outputs = functional_call(model, weights | buffers, (images,))
        loss = strategy._criterion(outputs, labels[index].to(strategy.device))
        yield dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))


def check_batch_size(method: str, batch_size: int) -> None:
    """Checks a number of images per batch.

    Raises:
        ValueError: it is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"{method}: batch_size is {batch_size}; allowed: a whole number of at least 1")
