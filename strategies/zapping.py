"""Zapping: re-drawing the weights that lead into output nodes of the last layer.

Frati, Traft, Clune, Cheney, *Reset It and Forget It* (ECAI 2024), section 3 and Algorithm 1: the weights of a
zapped row are drawn again from the initial distribution (Kaiming normal), its bias is set to 0.
`zap` is the function; `ZapEpisodeClass` and `ZapEvery` call it from an Avalanche strategy.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import gin
import torch
from avalanche.core import SupervisedMetaLearningPlugin, SupervisedPlugin
from torch import Tensor, nn

from zapbench.seeding import torch_generator

FanIn = Literal["row", "call"]
Bias = Literal["zero", "keep"]
Moments = Literal["keep", "clear"]


@torch.no_grad()
def zap(
    layer: nn.Linear,
    rows: Tensor | Sequence[int],
    *,
    generator: torch.Generator,
    fan_in: FanIn = "row",
    bias: Bias = "zero",
) -> None:
    """Re-draws the weights into the output nodes `rows`, in place.

    Args:
        layer: the last layer; `weight` is `(outputs, features)`.
        rows: output nodes to zap, each at most once.
        generator: where the draws come from; on the layer's device.
        fan_in: `row` gives a standard deviation of sqrt(2 / features) however many rows there are (the paper);
            `call` of sqrt(2 / (rows * features)), as the official code does by handing all rows to one call.
        bias: `zero` (the paper) or `keep` (the official code).
    """
    index = torch.as_tensor(rows, device=layer.weight.device)
    features = layer.in_features * (len(index) if fan_in == "call" else 1)
    drawn = torch.empty(len(index), layer.in_features, device=layer.weight.device, dtype=layer.weight.dtype)
    layer.weight[index] = drawn.normal_(0.0, math.sqrt(2.0 / features), generator=generator)
    if bias == "zero" and layer.bias is not None:
        layer.bias[index] = 0.0


@torch.no_grad()
def clear_moments(optimizer: torch.optim.Optimizer, layer: nn.Linear, rows: Tensor | Sequence[int]) -> None:
    """Sets the optimiser's running state (Adam's moments, momentum) of the weights into `rows` to 0."""
    index = torch.as_tensor(rows, device=layer.weight.device)
    for parameter in (layer.weight, layer.bias):
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value[index] = 0.0


class Zapping:
    """What both plug-ins share: how a zap is done. The layer is the model's `head`.

    Attributes:
        fan_in: see `zap`.
        bias: see `zap`.
        moments: whether the optimiser's moments of zapped rows are kept (the official code) or cleared.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
    """

    def __init__(self, *, seed: int, fan_in: FanIn, bias: Bias, moments: Moments) -> None:
        for name, value, allowed in (
            ("fan_in", fan_in, ("row", "call")),
            ("bias", bias, ("zero", "keep")),
            ("moments", moments, ("keep", "clear")),
        ):
            if value not in allowed:
                raise ValueError(f"zapping: {name} is {value!r}; allowed: {', '.join(allowed)}")
        self.seed = seed
        self.fan_in = fan_in
        self.bias = bias
        self.moments = moments

    def __call__(self, strategy: Any, rows: Tensor | Sequence[int], generator: torch.Generator) -> None:
        """Zaps `rows` of the strategy's head."""
        head = strategy.model.head
        zap(head, rows, generator=generator, fan_in=self.fan_in, bias=self.bias)
        if self.moments == "clear":
            clear_moments(strategy.optimizer, head, rows)

    def generator(self, strategy: Any) -> torch.Generator:
        """Returns the generator of this update: from the seed and the update's number, so that it needs no state."""
        device = strategy.model.head.weight.device
        return torch_generator("zap", self.seed, strategy.clock.train_iterations, device=device)


@gin.register
class ZapEpisodeClass(SupervisedMetaLearningPlugin):
    """Zaps the row of the episode's class before the inner updates (Algorithm 1).

    For strategies with episodes: they say which class it is in `episode_class`.
    """

    def __init__(self, *, seed: int = 0, fan_in: FanIn = "row", bias: Bias = "zero", moments: Moments = "keep") -> None:
        super().__init__()
        self.zapping = Zapping(seed=seed, fan_in=fan_in, bias=bias, moments=moments)

    def before_inner_updates(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Zaps the class that this episode is about."""
        self.zapping(strategy, [strategy.episode_class], self.zapping.generator(strategy))


@gin.register
class ZapEvery(SupervisedPlugin):
    """Zaps a random sample of rows every so many updates, in any Avalanche strategy (section 3, appendix F).

    Attributes:
        every: updates between two zaps; the first comes after as many updates, never before the first.
        rows: rows a zap, drawn without replacement; None for all.
    """

    def __init__(
        self,
        *,
        every: int,
        rows: int | None = None,
        seed: int = 0,
        fan_in: FanIn = "row",
        bias: Bias = "zero",
        moments: Moments = "keep",
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"zapping: every is {every}; allowed: a whole number of at least 1")
        if rows is not None and rows < 1:
            raise ValueError(f"zapping: rows is {rows}; allowed: a whole number of at least 1, or None for all")
        self.every = every
        self.rows = rows
        self.zapping = Zapping(seed=seed, fan_in=fan_in, bias=bias, moments=moments)

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Zaps where the cadence says so."""
        done = strategy.clock.train_iterations
        if done == 0 or done % self.every:
            return
        outputs = strategy.model.head.out_features
        if self.rows is not None and self.rows > outputs:
            raise ValueError(f"zapping: rows is {self.rows}, and the head has {outputs}")
        generator = self.zapping.generator(strategy)
        order = torch.randperm(outputs, generator=generator, device=generator.device)
        self.zapping(strategy, order[: self.rows], generator)
