"""The general transfer engine: any Avalanche strategy or plug-in learns a trial's classes.

In sequential transfer an experience is a class. In i.i.d. transfer one experience holds all classes, and an epoch is a
pass over it.

A transfer's .gin file binds the strategy, `run.transfer_strategy = @transfer/Naive`, its plug-ins,
`transfer/Naive.plugins = [@transfer/ReplayPlugin()]`, and the row's name, `sequential_transfer.learner = "replay"`.
Every class of `avalanche.training.supervised` and `avalanche.training.plugins` is registered under its own name, except
those that `zapbench.transfer.avalanche_fixes` replaces. A class of your own is registered by `@gin.register`.

In frozen transfer the strategy's model is the head and an experience holds features; in unfrozen transfer it is the
model and an experience holds images. As in the plain loop, the model is in eval mode, also while a plug-in computes
with it, and images come in the same order. A strategy may add other images, from a memory for example.

Before each class `strategy.is_measured` is set: whether the trial is measured after that class. A strategy that trains
from the start with every class can skip the classes after which it is not measured.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import avalanche.training.plugins
import avalanche.training.supervised
import gin
import torch
from avalanche.core import BasePlugin, SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from zapbench.plugins import make_strategy, refuse_inert, silent_evaluator
from zapbench.scenarios.streams import stream_of
from zapbench.scenarios.trial import Trial
from zapbench.transfer import avalanche_fixes
from zapbench.transfer.features import Inputs
from zapbench.transfer.metrics import Measure, Trajectory
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.protocol import Protocol

StrategyFactory = Callable[..., Any]

UNVERIFIED = frozenset({"ReplayPlugin", "EWCPlugin", "ER_ACE", "DER"})
"""Avalanche's contenders whose shipped numbers are ours: we found no source that gives them for one class at a time and
one image at a time. The docstrings of `zapbench.transfer.avalanche_fixes` say so of theirs."""


def _register() -> None:
    for module, base in ((avalanche.training.supervised, SupervisedTemplate), (avalanche.training.plugins, BasePlugin)):
        for name, thing in vars(module).items():
            wanted = isinstance(thing, type) and issubclass(thing, base) and not name.startswith("_")
            if wanted and not hasattr(avalanche_fixes, name):
                gin.external_configurable(thing, name=name, module=module.__name__)


_register()


class InTransfer(SupervisedPlugin):
    """Makes a strategy train in the trial's order, and keeps its losses; the first of its plug-ins.

    Attributes:
        losses: of the current experience.
        iid: whether the images are shuffled in each epoch.
        generator: draws these orders.
    """

    def __init__(self, *, iid: bool = False, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.losses: list[Tensor] = []
        self.iid = iid
        self.generator = generator

    def after_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the data set where it holds only the experience's images; others keep their own order."""
        alone = len(strategy.adapted_dataset) == len(strategy.experience.dataset)
        self._own: Any = strategy.adapted_dataset if alone else None

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Puts the images of plain mini-batches into the trial's order; a strategy's own loader is not changed."""
        self.losses = []
        self._plain: Any = None
        loader = strategy.dataloader
        plain = type(loader) is DataLoader and isinstance(loader.sampler, RandomSampler)
        if plain and loader.dataset is self._own:
            self._plain = strategy.dataloader = DataLoader(
                loader.dataset, batch_size=loader.batch_size, collate_fn=loader.collate_fn, shuffle=False
            )

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Shuffles plain mini-batches in i.i.d. transfer."""
        if self.iid and strategy.dataloader is self._plain:
            loader = self._plain
            order = torch.randperm(len(loader.dataset), generator=self.generator)
            self._plain = strategy.dataloader = DataLoader(
                loader.dataset, batch_size=loader.batch_size, collate_fn=loader.collate_fn, sampler=order.tolist()
            )

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Keeps the loss."""
        self.losses.append(strategy.loss.detach().reshape(()))

    def all_finite(self) -> bool:
        """Returns whether every loss of the experience was finite."""
        return bool(torch.stack(self.losses).isfinite().all()) if self.losses else True


class MeasureUpdates(SupervisedPlugin):
    """Measures an i.i.d. trial after some updates and ends it where a loss is not finite; the last plug-in.

    Args:
        measure: adds a point to the curves.
        wanted: updates after which to measure.
        classes: number of classes.
        tell: called after each update.
    """

    def __init__(self, measure: Measure, wanted: set[int], classes: int, tell: Callable[[], None]) -> None:
        super().__init__()
        self._measure = measure
        self._wanted = wanted
        self._classes = classes
        self._tell = tell
        self.done = 0

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Measures after the wanted updates."""
        self.done += 1
        if not strategy.loss.isfinite().all():
            self._measure.curve.end(self.done, "update")
            strategy.stop_training()
        elif self.done in self._wanted:
            self._measure(self.done, seen=self._classes)
        self._tell()


def make(factory: StrategyFactory, plan: TrialPlan) -> Any:
    """Returns an Avalanche strategy that learns a plan's trial under its protocol.

    Raises:
        ValueError: it needs bindings that its .gin file lacks, or cannot learn with the model.
    """
    plan.learner.register_forward_pre_hook(avalanche_fixes.stay_in_eval_mode)
    return make_strategy(
        factory,
        scope="transfer/",
        model=plan.learner,
        optimizer=plan.new_optimizer(),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=plan.protocol.images_per_step,
        train_epochs=plan.protocol.passes,
        evaluator=silent_evaluator(),
        device=str(next(plan.learner.parameters()).device),
    )


def rehearse(factory: StrategyFactory, inputs: Inputs, plan: TrialPlan) -> None:
    """Trains a strategy on a trial's first two classes, so that errors are reported before training starts.

    Raises:
        ValueError: the protocol has no steps, the row has no name, or a plug-in would have no effect.
    """
    protocol = plan.protocol
    if protocol.protocol == "at_once":
        raise ValueError(f"a strategy learns step by step, but the protocol is {protocol.name!r}")
    if not protocol.learner:
        kind = f"{protocol.protocol}_transfer"
        raise ValueError(f'a strategy needs a name for its row: bind `transfer/{kind}.learner = "replay"`')
    strategy = make(factory, replace(plan, rate=1e-6))
    first = {name: rows[:2] for name, rows in vars(plan.trial).items()}
    refuse_inert(strategy, experiences(inputs, replace(plan.trial, **first), protocol))


def experiences(inputs: Inputs, trial: Trial, protocol: Protocol) -> list[Any]:
    """Returns a strategy's experiences in order: one per class, or (i.i.d.) one of all classes."""
    return list(stream_of(inputs, trial, 1 if protocol.protocol == "sequential" else None).train_stream)


def run_strategy(
    factory: StrategyFactory, inputs: Inputs, plan: TrialPlan, *, tell: Callable[[], None] = lambda: None
) -> Trajectory:
    """Learns one trial with an Avalanche strategy and measures it; see `zapbench.transfer.reference.run_trial`.

    Args:
        factory: returns the strategy.
        inputs: image indices -> the learner's inputs.
        plan: what to learn; its learner is trained in place.
        tell: called after each class (i.i.d.: update).

    Raises:
        ValueError: in i.i.d. transfer, it makes more or fewer updates than the protocol has.
    """
    trial, protocol = plan.trial, plan.protocol
    strategy = make(factory, plan)
    rules = InTransfer(iid=protocol.protocol == "iid", generator=plan.order)
    strategy.plugins.insert(0, rules)

    def predict(batch: Tensor) -> Tensor:
        logits: Tensor = strategy.model.eval()(batch)
        return logits

    measure = Measure(predict, inputs, trial, plan.loss_points, class_losses=protocol.class_losses)
    wanted = set(plan.points)
    if rules.iid:
        strategy.plugins.append(updates := MeasureUpdates(measure, wanted, len(trial.classes), tell))
        strategy.train(experiences(inputs, trial, protocol), eval_streams=[])
        if plan.points and updates.done != plan.points[-1] and not measure.trajectory.diverged:
            raise ValueError(
                f"{type(strategy).__name__} makes {updates.done:,} updates, and the protocol has {plan.points[-1]:,}: "
                "its last accuracy would not be that of the trained model"
            )
        return measure.trajectory
    for seen, experience in enumerate(experiences(inputs, trial, protocol), start=1):
        strategy.is_measured = seen in wanted
        strategy.train(experience, eval_streams=[])
        if not rules.all_finite():
            measure.curve.end(seen, "class")
            break
        if strategy.is_measured:
            measure(seen, seen=seen)
        tell()
    return measure.trajectory
