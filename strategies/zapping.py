"""Zapping: the incoming weights of output nodes of the last layer are re-drawn during pre-training.

Frati, Traft, Clune, Cheney, *Reset It and Forget It* (ECAI 2024), section 3 and Algorithm 1: the weights of a zapped
row are re-drawn from the initial distribution (Kaiming normal), and its bias is set to 0.
`zap` is the function. Two plug-ins call it from an Avalanche strategy: `ZapEpisodeClass` zaps the row of the episode's
class, `ZapEvery` a random sample of rows, or all. Their parameters set how many rows are zapped, how often, in how many
layers, from which distribution, and whether biases and optimiser moments are reset.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedMetaLearningPlugin, SupervisedPlugin
from torch import Tensor, nn

from zapbench.networks.classifier import last_layers
from zapbench.seeding import torch_generator
from zapbench.strategies.cadence import Cadence, Unit

FanIn = Literal["row", "call"]
Bias = Literal["zero", "keep"]
Moments = Literal["keep", "clear"]
Distribution = Literal["kaiming", "pytorch", "zero"]


@torch.no_grad()
def zap(
    layer: nn.Linear | nn.Conv2d,
    rows: Tensor | Sequence[int],
    *,
    generator: torch.Generator,
    fan_in: FanIn = "row",
    bias: Bias = "zero",
    distribution: Distribution = "kaiming",
) -> None:
    """Re-draws the incoming weights of the output nodes `rows`, in place.

    Args:
        layer: a linear layer, with `weight` of shape `(outputs, features)`, or a convolution, whose filters are its
            output nodes.
        rows: indices of the output nodes to zap, each at most once.
        generator: source of the draws; one on the CPU draws the same for a layer on any device.
        fan_in: `row` gives a standard deviation of sqrt(2 / features) for any number of rows (the paper); `call` gives
            sqrt(2 / (rows * features)), as the official code does by initialising all rows in one call.
        bias: `zero` (the paper) or `keep` (the official code).
        distribution: `kaiming` is N(0, 2 / features), as in the paper; `pytorch` is `nn.Linear`'s default, uniform in
            +-1 / sqrt(features); `zero` sets weights to 0.
    """
    index = torch.as_tensor(rows, device=layer.weight.device)
    features = layer.weight[0].numel() * (len(index) if fan_in == "call" else 1)
    shape = len(index), *layer.weight.shape[1:]
    drawn = torch.zeros(shape, dtype=layer.weight.dtype, device=generator.device)
    if distribution == "kaiming":
        drawn.normal_(0.0, math.sqrt(2.0 / features), generator=generator)
    elif distribution == "pytorch":
        drawn.uniform_(-1.0 / math.sqrt(features), 1.0 / math.sqrt(features), generator=generator)
    layer.weight[index] = drawn.to(layer.weight.device)
    if bias == "zero" and layer.bias is not None:
        layer.bias[index] = 0.0


@torch.no_grad()
def clear_moments(optimizer: torch.optim.Optimizer, layer: nn.Module, rows: Tensor | Sequence[int]) -> None:
    """Sets the optimiser's moments (Adam's two, SGD's momentum) of the weights and biases of `rows` to 0."""
    for parameter in layer.parameters():
        clear_moments_at(optimizer, parameter, torch.as_tensor(rows, device=parameter.device))


@torch.no_grad()
def clear_moments_at(optimizer: torch.optim.Optimizer, parameter: Tensor, index: Any) -> None:
    """Sets the optimiser's moments of `parameter[index]` to 0. Adam's step count, one per tensor, is kept."""
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value[index] = 0.0


class Zapping:
    """How both plug-ins zap: zaps rows of a strategy's model when called. The last layer is the model's `head`.

    Attributes:
        fan_in: see `zap`.
        bias: see `zap`.
        distribution: see `zap`.
        moments: `keep` (the official code) or `clear`: the optimiser's moments of zapped rows.
        layers: number of last layers to zap. Output nodes of a layer before the head do not belong to a class: a random
            sample of them is zapped, the same share as of the head's rows and at least one.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(
        self, *, seed: int, fan_in: FanIn, bias: Bias, moments: Moments, distribution: Distribution, layers: int
    ) -> None:
        _check("fan_in", fan_in, ("row", "call"))
        _check("bias", bias, ("zero", "keep"))
        _check("moments", moments, ("keep", "clear"))
        _check("distribution", distribution, ("kaiming", "pytorch", "zero"))
        _check_count("layers", layers)
        self.seed = seed
        self.fan_in = fan_in
        self.bias = bias
        self.moments = moments
        self.distribution = distribution
        self.layers = layers

    def __call__(self, strategy: Any, rows: Tensor | Sequence[int], generator: torch.Generator) -> None:
        """Zaps `rows` of the head, and a random sample of output nodes of the `layers - 1` layers before it."""
        head = strategy.model.head
        self._zap(strategy, head, rows, generator)
        share = len(rows) / len(head.weight)
        for layer in last_layers(strategy.model, self.layers)[:-1] if self.layers > 1 else ():
            order = torch.randperm(len(layer.weight), generator=generator, device=generator.device)
            self._zap(strategy, layer, order[: max(1, round(share * len(order)))], generator)

    def _zap(self, strategy: Any, layer: nn.Linear | nn.Conv2d, rows: Any, generator: torch.Generator) -> None:
        zap(
            layer,
            rows,
            generator=generator,
            fan_in=self.fan_in,
            bias=self.bias,
            distribution=self.distribution,
        )
        if self.moments == "clear":
            clear_moments(strategy.optimizer, layer, rows)

    def generator(self, strategy: Any) -> torch.Generator:
        """Returns a generator that depends on the seed and the update's number alone, so it needs no saved state."""
        return torch_generator("zap", self.seed, strategy.clock.train_iterations)


@gin.register
class ZapEpisodeClass(SupervisedMetaLearningPlugin):
    """Zaps the row of the episode's class before the inner updates (Algorithm 1).

    For episodic strategies, which set `episode_class` (see `base.EpisodicStrategy`).

    Attributes:
        every: episodes between two zaps; the first is in the first episode.
        zapping: how to zap, from the other parameters (see `Zapping`).
    """

    def __init__(
        self,
        *,
        every: int = 1,
        seed: int = 0,
        fan_in: FanIn = "row",
        bias: Bias = "zero",
        moments: Moments = "keep",
        distribution: Distribution = "kaiming",
        layers: int = 1,
    ) -> None:
        super().__init__()
        _check_count("every", every)
        self.every = every
        self.zapping = Zapping(
            seed=seed, fan_in=fan_in, bias=bias, moments=moments, distribution=distribution, layers=layers
        )

    def before_inner_updates(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Zaps the row of the episode's class."""
        if strategy.clock.train_iterations % self.every == 0:
            self.zapping(strategy, [strategy.episode_class], self.zapping.generator(strategy))


@gin.register
class ZapEvery(SupervisedPlugin):
    """Zaps a random sample of rows at an interval, in any Avalanche strategy (section 3, appendix F).

    Attributes:
        cadence: interval between two zaps in updates, episodes or epochs, from `every` and `unit`.
        rows: rows per zap, sampled without replacement: a whole number, a share in (0, 1), or None for all rows.
        zapping: how to zap, from the other parameters (see `Zapping`).
    """

    def __init__(
        self,
        *,
        every: int,
        unit: Unit = "updates",
        rows: float | None = None,
        seed: int = 0,
        fan_in: FanIn = "row",
        bias: Bias = "zero",
        moments: Moments = "keep",
        distribution: Distribution = "kaiming",
        layers: int = 1,
    ) -> None:
        super().__init__()
        self.cadence = Cadence("zapping", every, unit)
        if rows is not None and not (0 < rows < 1 or (rows >= 1 and rows == int(rows))):
            raise ValueError(
                f"zapping: rows is {rows}; allowed: a whole number of at least 1, a share in (0, 1), or None for all"
            )
        self.rows = rows
        self.zapping = Zapping(
            seed=seed, fan_in=fan_in, bias=bias, moments=moments, distribution=distribution, layers=layers
        )

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Zaps when it is due."""
        if not self.cadence.is_due(strategy):
            return
        generator = self.zapping.generator(strategy)
        outputs = strategy.model.head.out_features
        order = torch.randperm(outputs, generator=generator, device=generator.device)
        self.zapping(strategy, order[: self._count(outputs)], generator)

    def _count(self, outputs: int) -> int:
        if self.rows is None:
            return outputs
        if self.rows > outputs:
            raise ValueError(f"zapping: rows is {self.rows}, but the head has {outputs} rows")
        return int(self.rows) if self.rows >= 1 else max(1, round(self.rows * outputs))


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"zapping: {name} is {value!r}; allowed: {', '.join(allowed)}")


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"zapping: {name} is {value}; allowed: a whole number of at least 1")
