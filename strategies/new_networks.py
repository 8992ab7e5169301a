"""Newly initialised networks, for methods that put some of their weights into the network in training."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.seeding import torch_generator
from zapbench.strategies.zapping import clear_moments_at

NetworkFactory = Callable[..., Classifier]
"""Makes a network from `outputs`, `channels` and `size`; usually `%MODEL`, as `run.model`."""


def new_network(make: NetworkFactory, strategy: Any, *, method: str, seed: int) -> Classifier:
    """Returns a network like the strategy's, newly initialised.

    It depends on the method, the seed and the update's number alone, so that a resumed run makes the same one. The
    state of torch's global generator, which networks draw from, is restored.

    Args:
        make: makes the network.
        strategy: an Avalanche strategy in a training iteration.
        method: name of the method.
        seed: seed of the draws.
    """
    _, channels, size, _ = strategy.mb_x.shape
    drawn = torch_generator(method, seed, strategy.clock.train_iterations).initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(drawn)
        return make(outputs=strategy.model.head.out_features, channels=channels, size=size)


@torch.no_grad()
def replace_where(
    model: nn.Module, new: nn.Module, masks: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None
) -> None:
    """Replaces weights by those of a new network, and clears the optimiser's moments of them.

    Args:
        model: changed in place.
        new: a network of the same sizes.
        masks: parameter's name -> bool of its shape, True where its weights are replaced.
        optimizer: its state of other weights, and counts of steps, are kept; None to keep all of it.
    """
    fresh = dict(new.named_parameters())
    named = dict(model.named_parameters())
    for name, mask in masks.items():
        weight = named[name]
        weight[mask] = fresh[name].to(weight)[mask]
        if optimizer is not None:
            clear_moments_at(optimizer, weight, mask)
