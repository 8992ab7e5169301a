"""Zapping: re-drawing the weights that lead into output nodes of the last layer.

Frati, Traft, Clune, Cheney, *Reset It and Forget It* (ECAI 2024), section 3 and Algorithm 1: the weights of a
zapped row are drawn again from the initial distribution (Kaiming normal), its bias is set to 0.
`zap` is the function; `ZapEpisodeClass` (the row of the episode's class) and `ZapEvery` (random rows, or all) call it
from an Avalanche strategy. How many rows, how often, of how many layers, from which distribution, and what becomes of
biases and of the optimiser's state are their parameters.
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
    """Re-draws the weights into the output nodes `rows`, in place.

    Args:
        layer: the last layer, `weight` being `(outputs, features)`, or one before it; a filter is an output node.
        rows: output nodes to zap, each at most once.
        generator: where the draws come from; on the layer's device.
        fan_in: `row` gives a standard deviation of sqrt(2 / features) however many rows there are (the paper);
            `call` of sqrt(2 / (rows * features)), as the official code does by handing all rows to one call.
        bias: `zero` (the paper) or `keep` (the official code).
        distribution: `kaiming` is N(0, 2 / features), the paper's; `pytorch` is `nn.Linear`'s default, uniform within
            1 / sqrt(features); `zero` draws nothing.
    """
    index = torch.as_tensor(rows, device=layer.weight.device)
    features = layer.weight[0].numel() * (len(index) if fan_in == "call" else 1)
    drawn = layer.weight.new_zeros(len(index), *layer.weight.shape[1:])
    if distribution == "kaiming":
        drawn.normal_(0.0, math.sqrt(2.0 / features), generator=generator)
    elif distribution == "pytorch":
        drawn.uniform_(-1.0 / math.sqrt(features), 1.0 / math.sqrt(features), generator=generator)
    layer.weight[index] = drawn
    if bias == "zero" and layer.bias is not None:
        layer.bias[index] = 0.0


@torch.no_grad()
def clear_moments(optimizer: torch.optim.Optimizer, layer: nn.Module, rows: Tensor | Sequence[int]) -> None:
    """Sets the optimiser's running state (Adam's moments, momentum) of the weights into `rows` to 0."""
    for parameter in layer.parameters():
        clear_moments_at(optimizer, parameter, torch.as_tensor(rows, device=parameter.device))


@torch.no_grad()
def clear_moments_at(optimizer: torch.optim.Optimizer, parameter: Tensor, place: Any) -> None:
    """Sets the optimiser's running state of `parameter[place]` to 0; Adam's count of steps, one a tensor, stays."""
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value[place] = 0.0


class Zapping:
    """What both plug-ins share: how a zap is done. The last layer is the model's `head`.

    Attributes:
        fan_in: see `zap`.
        bias: see `zap`.
        distribution: see `zap`.
        moments: whether the optimiser's moments of zapped rows are kept (the official code) or cleared.
        layers: how many of the last layers are zapped. A layer before the head has no rows of classes: as large a
            share of its output nodes is zapped as of the head's (at least one), at random.
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
        """Zaps `rows` of the strategy's head, and nodes of the layers before it where they are zapped, too."""
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
        """Returns the generator of this update: from the seed and the update's number, so that it needs no state."""
        device = strategy.model.head.weight.device
        return torch_generator("zap", self.seed, strategy.clock.train_iterations, device=device)


@gin.register
class ZapEpisodeClass(SupervisedMetaLearningPlugin):
    """Zaps the row of the episode's class before the inner updates (Algorithm 1).

    For strategies with episodes: they say which class it is in `episode_class`.

    Attributes:
        every: episodes between two zaps; the first episode has one.
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
        """Zaps the class that this episode is about."""
        if strategy.clock.train_iterations % self.every == 0:
            self.zapping(strategy, [strategy.episode_class], self.zapping.generator(strategy))


@gin.register
class ZapEvery(SupervisedPlugin):
    """Zaps a random sample of rows every so many updates, in any Avalanche strategy (section 3, appendix F).

    Attributes:
        cadence: updates, episodes or epochs between two zaps (from `every` and `unit`).
        rows: rows a zap, drawn without replacement: a whole number, a share of all such as 0.1, or None for all.
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
                f"zapping: rows is {rows}; allowed: a whole number of at least 1, a share, or None for all"
            )
        self.rows = rows
        self.zapping = Zapping(
            seed=seed, fan_in=fan_in, bias=bias, moments=moments, distribution=distribution, layers=layers
        )

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Zaps where the cadence says so."""
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
            raise ValueError(f"zapping: rows is {self.rows}, and the head has {outputs}")
        return int(self.rows) if self.rows >= 1 else max(1, round(self.rows * outputs))


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"zapping: {name} is {value!r}; allowed: {', '.join(allowed)}")


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"zapping: {name} is {value}; allowed: a whole number of at least 1")
