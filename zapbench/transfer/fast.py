"""Fast engines for frozen sequential transfer, and which of them applies.

An engine is `transfer(features, tasks, tick) -> trajectories`, one a task, the plain loop's
(`zapbench.transfer.reference.run_trial`) up to rounding. Every engine takes the steps in the plain loop's order, and a task's
trajectory is the same, bit for bit, whichever tasks are in the call; so tasks are done in chunks that fit a budget of
memory, and the cursor through a sweep is simply which of its trials are recorded. What no engine knows exactly, the
plain loop does.
"""

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zapbench.scenarios.trial import Trial
from zapbench.transfer.protocol import Protocol
from zapbench.transfer.reference import Features, OptimizerFactory, Trajectory

Tick = Callable[[], None]
"""Called now and then; may raise to stop."""


@dataclass(frozen=True)
class Rule:
    """How an optimiser makes a step, as far as an engine can do the same.

    Attributes:
        kind: `sgd`, `momentum` or `adam` (with `decay`, AdamW).
        rate: learning rate.
        momentum: of `momentum`.
        betas: of `adam`.
        eps: of `adam`.
        decay: decoupled weight decay of `adam`.
    """

    kind: Literal["sgd", "momentum", "adam"]
    rate: float
    momentum: float = 0.0
    betas: tuple[float, float] = (0.0, 0.0)
    eps: float = 0.0
    decay: float = 0.0


@dataclass(frozen=True)
class Task:
    """One trial to be learned.

    Attributes:
        trial: classes, labels and images.
        head: the new head; it is left as it is.
        rule: of the optimiser.
        points: classes after which to measure, rising.
        passes: passes over a class's images.
        draw: names the trial and its head; tasks of one draw differ by rate alone.
    """

    trial: Trial
    head: nn.Linear
    rule: Rule
    points: list[int]
    passes: int = 1
    draw: Hashable = None


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        name: what the log calls it.
        transfer: learns and measures some tasks.
        memory: bytes that tasks take in it together.
        most: tasks from which on more in one call gain nothing.
    """

    name: str
    transfer: Callable[[Features, Sequence[Task], Tick], list[Trajectory]]
    memory: Callable[[Features, Sequence[Task]], int]
    most: int


def engine_for(
    protocol: Protocol, optimizer: OptimizerFactory, features: Features, rates: Iterable[float]
) -> Engine | None:
    """Returns the engine that gives the plain loop's trajectories at all rates, or None where only that loop does."""
    one_by_one = protocol.protocol == "sequential" and protocol.frozen and protocol.images_per_step == 1
    known = features.table.device.type == "cpu" and features.table.dtype in (torch.float32, torch.float64)
    if not (one_by_one and known):
        return None
    kinds = {rule.kind if (rule := rule_of(optimizer, rate)) else None for rate in rates}
    if len(kinds) != 1 or None in kinds:
        return None
    if kinds == {"sgd"}:
        from zapbench.transfer import fast_sgd as gram

        return Engine("gram", gram.transfer, gram.memory, sys.maxsize)
    from zapbench.transfer import fast_adam as columns  # compiles: only where it is used

    return Engine("columns", columns.transfer, columns.memory, torch.get_num_threads())


def rule_of(optimizer: OptimizerFactory, rate: float) -> Rule | None:
    """Returns what kind of step the optimiser makes, seen on a small layer; None where it is none of the known.

    Subclasses, hooks, groups of parameters and options that are not known here make it unknown.
    """
    stepper = optimizer(list(nn.Linear(1, 1).parameters()), lr=rate)
    if len(stepper.param_groups) != 1 or stepper._optimizer_step_pre_hooks or stepper._optimizer_step_post_hooks:
        return None
    options = {key: value for key, value in stepper.param_groups[0].items() if key != "params"}
    if not all(isinstance(value, bool | int | float | tuple | None) for value in options.values()):
        return None
    for name in ("foreach", "fused"):  # how it is computed, not what
        options.pop(name, None)
    if type(stepper) is torch.optim.SGD:
        return _sgd(options)
    if type(stepper) in (torch.optim.Adam, torch.optim.AdamW):
        return _adam(options)
    return None


def _sgd(options: dict[str, Any]) -> Rule | None:
    rate, momentum = float(options.pop("lr")), float(options.pop("momentum"))
    if any(options.values()) or not 0 <= momentum < 1:  # dampening, weight_decay, nesterov, maximize, ...
        return None
    return Rule("momentum", rate, momentum=momentum) if momentum else Rule("sgd", rate)


def _adam(options: dict[str, Any]) -> Rule | None:
    rate, eps = float(options.pop("lr")), float(options.pop("eps"))
    beta1, beta2 = (float(beta) for beta in options.pop("betas"))
    decay = float(options.pop("weight_decay"))
    decoupled = options.pop("decoupled_weight_decay", False)
    if any(options.values()) or eps <= 0 or (decay and not decoupled):  # amsgrad, maximize, capturable, ...
        return None
    return Rule("adam", rate, betas=(beta1, beta2), eps=eps, decay=decay)


def chunks(engine: Engine, features: Features, tasks: Iterable[Task], budget: float) -> Iterator[list[Task]]:
    """Yields tasks in order, as many at a time as the budget of bytes holds, but at least one."""
    chunk: list[Task] = []
    for task in tasks:
        full = len(chunk) >= engine.most or engine.memory(features, [*chunk, task]) > budget
        if chunk and full:
            yield chunk
            chunk = []
        chunk.append(task)
    if chunk:
        yield chunk


def image_rows(features: Features, task: Task) -> tuple[Tensor, Tensor]:
    """Returns rows of the table of features: of the images trained on and of those held out, each `(classes, n)`."""
    trial = task.trial
    return features.rows(torch.from_numpy(trial.train)), features.rows(torch.from_numpy(trial.held_out))
