"""How much an encoder can still change, from its features and weights: pure functions.

A unit is a feature of the encoder. Low effective rank, many dormant units and large weights go with a loss of
plasticity (Dohare et al. 2024, *Loss of plasticity in deep continual learning*).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


def effective_rank(features: Tensor) -> float:
    """Returns the exponential of the entropy of the singular values' distribution, in 1 to `min(images, units)`.

    See *The effective rank: a measure of effective dimensionality* by Roy and Vetterli (2007). The features are taken
    as they are, not centred. Of features that are all 0 it is 0.

    Args:
        features: `(images, units)`.

    Raises:
        ValueError: a feature is not finite.
    """
    _check(features)
    values = torch.linalg.svdvals(features.double())
    if not values.any():
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def dormant_units(features: Tensor, threshold: float = 0.025) -> float:
    """Returns the share of units whose mean absolute activation is at most `threshold` times the mean over units.

    See *The Dormant Neuron Phenomenon in Deep Reinforcement Learning* by Sokar et al. (2023), definition 3.1. Of
    features that are all 0 it is 1.

    Args:
        features: `(images, units)`.
        threshold: at least 0; at 0 a unit is dormant where it is 0 for every image.

    Raises:
        ValueError: a feature is not finite, or the threshold is negative.
    """
    _check(features)
    if not threshold >= 0:
        raise ValueError(f"dormant units: the threshold must be at least 0, got {threshold}")
    activity = features.double().abs().mean(0)
    return float((activity <= threshold * activity.mean()).double().mean())


def weight_norm(module: nn.Module) -> float:
    """Returns the root of the mean squared parameter, so that networks of different sizes can be compared."""
    squares = [parameter.detach().double().square().sum() for parameter in module.parameters()]
    count = sum(parameter.numel() for parameter in module.parameters())
    return float((torch.stack(squares).sum() / count).sqrt()) if count else 0.0


def feature_drift(before: Tensor, after: Tensor) -> float:
    """Returns the mean distance between an image's features before and after, over the mean norm before.

    Args:
        before: `(images, units)`.
        after: the same images' features later.

    Raises:
        ValueError: the shapes differ, a feature is not finite, or all features were 0.
    """
    if before.shape != after.shape:
        raise ValueError(f"feature drift: features of shapes {tuple(before.shape)} and {tuple(after.shape)}")
    _check(before)
    _check(after)
    norm = before.double().norm(dim=1).mean()
    if not norm:
        raise ValueError("feature drift: all features before were 0")
    return float((after.double() - before.double()).norm(dim=1).mean() / norm)


class CoAdaptation(NamedTuple):
    """How much a network depends on one of its layers having these very weights, in accuracy.

    Attributes:
        shock: what it loses when the layer is re-drawn.
        lasting: what is still lost after the layer alone was trained again; below 0 where it is better than before.
        regained: share of the shock that training the layer restored; NaN where re-drawing it cost nothing.
    """

    shock: float
    lasting: float
    regained: float


def co_adaptation(before: float, redrawn: float, recovered: float) -> CoAdaptation:
    """Returns a layer's co-adaptation from three accuracies in [0, 1]: before, after re-drawing it, after training it.

    Features that are not co-adapted with a layer let a new one do as well (Hinton et al. 2012 on dropout; Yosinski et
    al. 2014 on fragile co-adaptation); zapping asks that of the last layer throughout pre-training.

    Raises:
        ValueError: an accuracy is not in [0, 1].
    """
    for name, value in (("before", before), ("redrawn", redrawn), ("recovered", recovered)):
        if not 0 <= value <= 1:
            raise ValueError(f"co-adaptation: {name} is {value}; allowed: 0 to 1")
    shock = before - redrawn
    return CoAdaptation(shock, before - recovered, (recovered - redrawn) / shock if shock > 0 else float("nan"))


def _check(features: Tensor) -> None:
    if features.ndim != 2 or not len(features):
        raise ValueError(f"features of shape {tuple(features.shape)}; expected (images, units)")
    if not features.isfinite().all():
        raise ValueError("a feature is not finite")
