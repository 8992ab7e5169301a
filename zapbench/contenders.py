"""The general engine of transfer: any Avalanche strategy or plug-in learns a trial's classes, one experience a class.

A transfer's .gin file names them, `run.transfer_strategy = @transfer/Naive` and
`transfer/Naive.plugins = [@transfer/ReplayPlugin()]`, and the row's name, `sequential_transfer.learner = "replay"`.
Everything in `avalanche.training.supervised` and `avalanche.training.plugins` is registered under its own name; a
person's own class is registered by `@gin.register`.

Frozen, the strategy's model is the head and an experience holds features; unfrozen, the whole model and images. As in
the plain loop the model is in eval mode, and a class's images come in the trial's order. What a strategy adds to them
(say, from a memory) is its own affair.
"""

from collections.abc import Callable
from typing import Any

import avalanche.training.plugins
import avalanche.training.supervised
import gin
import torch
from avalanche.core import BasePlugin, SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from zapbench.hooks import refuse_inert
from zapbench.pretraining import silent_evaluator
from zapbench.protocol import Protocol
from zapbench.scenarios.scenario import Trial
from zapbench.scenarios.streams import stream_of
from zapbench.transfer import Inputs, Measure, OptimizerFactory, Trajectory

StrategyFactory = Callable[..., Any]


def _register() -> None:
    for module, base in ((avalanche.training.supervised, SupervisedTemplate), (avalanche.training.plugins, BasePlugin)):
        for name, thing in vars(module).items():
            if isinstance(thing, type) and issubclass(thing, base) and not name.startswith("_"):
                gin.external_configurable(thing, name=name, module=module.__name__)


_register()


class InTransfer(SupervisedPlugin):
    """Keeps a strategy to transfer's rules; the first of its plug-ins.

    Attributes:
        losses: of the experience at hand.
    """

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[Tensor] = []

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Puts the images of plain mini-batches into the trial's order; a strategy's own loader stays as it is."""
        self.losses = []
        loader = strategy.dataloader
        plain = type(loader) is DataLoader and isinstance(loader.sampler, RandomSampler)
        if plain and loader.dataset is strategy.adapted_dataset:
            strategy.dataloader = DataLoader(
                loader.dataset, batch_size=loader.batch_size, collate_fn=loader.collate_fn, shuffle=False
            )

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Avalanche puts models in train mode, and transfer is in eval mode."""
        strategy.model.eval()

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the loss."""
        self.losses.append(strategy.loss.detach().reshape(()))

    def all_finite(self) -> bool:
        """Returns whether every loss of the experience was finite."""
        return bool(torch.stack(self.losses).isfinite().all()) if self.losses else True


def make(
    factory: StrategyFactory, learner: nn.Module, protocol: Protocol, optimizer: OptimizerFactory, rate: float
) -> Any:
    """Returns an Avalanche strategy that learns under a protocol."""
    parameters = [p for p in learner.parameters() if p.requires_grad]
    return factory(
        model=learner,
        optimizer=optimizer(parameters, lr=rate),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=protocol.images_a_step,
        train_epochs=protocol.passes,
        evaluator=silent_evaluator(),
        device=str(next(learner.parameters()).device),
    )


def check(
    factory: StrategyFactory,
    learner: nn.Module,
    inputs: Inputs,
    trial: Trial,
    protocol: Protocol,
    optimizer: OptimizerFactory,
) -> None:
    """Rehearses a contender on a trial's first two classes, so that what cannot work is said before training.

    Raises:
        ValueError: the protocol is not sequential, the row has no name, or a plug-in would do nothing.
    """
    if protocol.protocol != "sequential":
        raise ValueError(f"a strategy learns class after class, and the protocol is {protocol.name!r}")
    if not protocol.learner:
        raise ValueError('a strategy makes another row: name it, `transfer/sequential_transfer.learner = "replay"`')
    strategy = make(factory, learner, protocol, optimizer, rate=1e-6)
    refuse_inert(strategy, list(stream_of(inputs, trial).train_stream)[:2])


def run_contender(
    factory: StrategyFactory,
    learner: nn.Module,
    inputs: Inputs,
    trial: Trial,
    protocol: Protocol,
    *,
    optimizer: OptimizerFactory,
    rate: float,
    points: list[int],
    tell: Callable[[], None] = lambda: None,
) -> Trajectory:
    """Learns one trial with an Avalanche strategy and measures it; see `zapbench.transfer.run_trial`.

    Args:
        factory: makes the strategy.
        learner: what it trains.
        inputs: image indices -> the learner's inputs.
        trial: classes, labels and images.
        protocol: passes, images a step.
        optimizer: called with parameters and `lr`.
        rate: learning rate.
        points: classes seen at which to measure, rising.
        tell: called after each class.
    """
    strategy = make(factory, learner, protocol, optimizer, rate)
    rules = InTransfer()
    strategy.plugins.insert(0, rules)

    def predict(batch: Tensor) -> Tensor:
        logits: Tensor = strategy.model.eval()(batch)
        return logits

    measure = Measure(predict, inputs, trial)
    wanted = set(points)
    for seen, experience in enumerate(stream_of(inputs, trial).train_stream, start=1):
        strategy.train(experience, eval_streams=[])
        if not rules.all_finite():
            measure.curve.end(seen, "class")
            break
        if seen in wanted:
            measure(seen, seen=seen)
        tell()
    return measure.trajectory
